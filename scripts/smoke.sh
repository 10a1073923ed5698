#!/usr/bin/env bash
# Run each step of an installed FoCus once on drawn faces: index, train, generate, score, view,
# look, run, table. The `python` on the PATH is the installation; run it outside the source tree.
#
#   bash scripts/smoke.sh [--export] FOLDER
#
# FOLDER must not exist; it holds all output. --export: also ONNX (needs the extra onnx).
set -euo pipefail
export=
[ "${1:-}" = --export ] && export=1 && shift
mkdir -p "$(dirname "$1")"
mkdir "$1" && cd "$1"
export HF_HUB_OFFLINE=1
python -c 'import focus, pathlib, sys
source = (pathlib.Path(focus.__file__).parents[1] / "pyproject.toml").exists()
sys.exit("the source tree is imported, not an installation" if source else 0)'

focus --version
python -c 'from focus.data.demo import DemoConfig, write_demo_corpus as write
write("corpus", DemoConfig(people=10, images_per_person=2, size=64), quiet=True)'
small="--steps 2 --batch 8 --validate-every 2 --workers 0 --quiet"
focus index --data corpus/index.csv --out index.csv --quiet
focus train demo --data corpus/index.csv --image-size 64 --out run $small
focus generate --data corpus/index.csv --weights run --out focus.h5 --real-maps fake-class --quiet
focus info focus.h5
evaluator score focus.h5 --split all --draws 50 --json score.json --quiet
focus view focus.h5 --out report.html --quiet
focus view focus.h5 --png sheet.png --quiet
focus look corpus/real/0000-0.jpg --out looked --quiet
[ -z "$export" ] || focus export run --out focus.onnx --quiet
for model in probe caddm; do
    evaluator run --model $model --maps focus.h5 --test "own=corpus/index.csv:test" --out "$model" \
        --options image_size=64 encoder_weights=none $small
done
evaluator table probe caddm
echo "all steps passed"
