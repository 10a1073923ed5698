#!/usr/bin/env bash
# Build the site into build/site/html, strictly: a broken link is an error.
set -euo pipefail
EXTRAS=docs
source "$(dirname "$0")/environment.sh"
rm -rf build/site
python scripts/build_site.py build/site
NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet -f build/site/mkdocs.yml
echo "open build/site/html/index.html"
