#!/usr/bin/env bash
# All checks that a change must pass: style, types, layers, tests.
# Arguments go to pytest: bash scripts/test.sh tests/focus -k index
set -euo pipefail
EXTRAS=dev
source "$(dirname "$0")/environment.sh"
ruff check .
ruff format --check .
mypy
lint-imports --no-cache
python -m pytest -n auto --dist loadscope --durations=15 "$@"
