#!/usr/bin/env bash
# Install the lowest releases that pyproject.toml allows (or, with --newest, the newest) into a
# new environment, and run each step once there: index, train, generate, score, view, run.
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

cd "$folder" # so that the installed package is imported, not the source tree
export HF_HUB_OFFLINE=1 PATH="$PWD/env/bin:$PATH"
python -c 'from focus.data.demo import DemoConfig, write_demo_corpus as write
write("corpus", DemoConfig(people=10, images_per_person=2, size=64), quiet=True)'
small="--steps 2 --batch 8 --validate-every 2 --workers 0 --quiet"
focus index --data corpus/index.csv --out index.csv --quiet
focus train demo --data corpus/index.csv --image-size 64 --out run $small
focus generate --data corpus/index.csv --weights run --out focus.h5 --real-maps fake-class --quiet
evaluator score focus.h5 --split all --draws 50 --json score.json --quiet
focus view focus.h5 --out report.html --quiet
focus view focus.h5 --png sheet.png --quiet
focus export run --out focus.onnx --quiet
for model in probe caddm; do
    evaluator run --model $model --maps focus.h5 --test "own=corpus/index.csv:test" --out "$model" \
        --options image_size=64 encoder_weights=none $small
done
evaluator table probe caddm
echo "$bounds releases: all steps passed"
