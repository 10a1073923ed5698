#!/usr/bin/env bash
# Install the lowest releases that pyproject.toml allows (or, with --newest, the newest) into a
# new environment, and run each step once there (scripts/smoke.sh).
#
#   PYTHON=python3.10 bash scripts/lowest.sh [--newest] [FOLDER]
#
# FOLDER (default: a temporary one, removed at the end) holds the environment and all output.
set -euo pipefail
cd "$(dirname "$0")/.."
bounds=lowest
[ "${1:-}" = --newest ] && bounds=newest && shift
folder=${1:-}
if [ -z "$folder" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
"${PYTHON:-python3}" -m venv "$folder/env"
python="$folder/env/bin/python"

: > "$folder/constraints.txt"
if [ "$bounds" = lowest ]; then # turn every "name>=1.2" into name==1.2
    grep -oE '"[A-Za-z0-9_-]+>=[0-9.]+"' pyproject.toml | tr -d '"' | sed 's/>=/==/' | sort -u \
        > "$folder/constraints.txt"
fi
"$python" -m pip install --quiet --disable-pip-version-check -c "$folder/constraints.txt" \
    ".[video,onnx]"
"$python" -m pip check --disable-pip-version-check
"$python" --version
"$python" -m pip freeze --disable-pip-version-check | grep -iE '^(torch|timm|numpy|accelerate)=='

PATH="$folder/env/bin:$PATH" bash scripts/smoke.sh --export "$folder/tried"
echo "$bounds releases"
