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
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # a worker per core: more threads only compete
# Modules in the order of tests/conftest.py: the longest first, so that the workers end together.
python -m pytest -n auto --dist loadscope --no-loadscope-reorder --durations=15 "$@"
