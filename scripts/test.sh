#!/usr/bin/env bash
# All checks that a change must pass: style, types, layers, tests.
# Arguments go to pytest: bash scripts/test.sh tests/focus -k index
# COVERAGE=1 also prints the coverage of each package (slower, least so from Python 3.12 on).
set -euo pipefail
EXTRAS=dev,app # app holds Pillow below 13; scripts/demo.sh and lowest.sh --newest take the newest
source "$(dirname "$0")/environment.sh"
ruff check .
ruff format --check .
mypy
lint-imports --no-cache
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # a worker per core: more threads only compete
coverage=()
if [ -n "${COVERAGE:-}" ]; then
    coverage=(--cov=focus --cov=plugins --cov=evaluator --cov-report=)
    # Faster than tracing; from Python 3.12 on.
    if python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
        export COVERAGE_CORE="${COVERAGE_CORE:-sysmon}"
    fi
fi
# Modules in the order of tests/conftest.py: the longest first, so that the workers end together.
python -m pytest -n auto --dist loadscope --no-loadscope-reorder --durations=15 \
    ${coverage[@]+"${coverage[@]}"} "$@"
if [ -n "${COVERAGE:-}" ]; then
    for package in focus plugins evaluator; do
        echo "lines of $package that tests ran (not counting other processes):" \
            "$(python -m coverage report --include="$package/*" --format=total) %"
    done
fi
