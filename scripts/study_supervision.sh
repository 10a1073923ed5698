#!/usr/bin/env bash
# Which maps make a detector generalise? One small probe under each kind of supervision, trained on
# a part of the people of an index of swaps, tested on people and on tools that it never saw.
# Every step is resumable; results that exist are kept. On two CPU cores a training takes five
# minutes with the defaults.
#
#   scripts/study_supervision.sh INDEX RUN ENCODER_WEIGHTS OUT "NAME=EDITS.csv:val ..." [SEEDS] [STEPS]
#
# INDEX: with splits, masks and originals; RUN: a FoCus run or weights file trained on its train
# split; ENCODER_WEIGHTS: MobileNetV2; EDITS: faces forged by other tools, with masks
# (`focus forge` of val people); SEEDS: number of trainings (default 3); STEPS: default 400.
set -euo pipefail
index=$1 focus=$2 weights=$3 out=$4 tests=$5 seeds=${6:-3} steps=${7:-400}
mkdir -p "$out"

if [ ! -f "$out/faces.csv" ]; then # every fourth training person; all of val
    python - "$index" "$out/faces.csv" <<'PY'
import csv, sys
from pathlib import Path

with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file))
people = sorted({row["video"] for row in rows if row["split"] == "train"})[::4]
kept = [row for row in rows if row["split"] == "val" or row["video"] in set(people)]
root = Path(sys.argv[1]).resolve().parent
for row in kept:  # absolute, for an index in another folder
    files = ("path", "mask", "original", "region")
    row.update({name: str(root / row[name]) for name in files if row.get(name)})
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(kept)
PY
fi

draw() { # NAME FLAGS...: maps of the training and validation faces
    [ -f "$out/$1.h5" ] && return
    focus generate --data "$out/faces.csv" --quiet --out "$out/$1.h5" "${@:2}"
}
draw focus --method focus --weights "$focus"
draw ssim --method ssim --options image_size=128
draw pixel --method pixel@0.1 --options image_size=128

evaluator compare --model probe --maps none "$out/focus.h5" "$out/ssim.h5" "$out/pixel.h5" truth \
    --data "$out/faces.csv" --hold-out 0.1 --seeds "$seeds" --steps "$steps" --batch 32 \
    --validate-every "$steps" --options encoder=mobilenetv2_100 "encoder_weights=$weights" \
    image_size=128 channels=64 --lr 1e-3 --optimizer adamw --weight-decay 0.05 --warmup 0.1 \
    --test "swaps=$out/faces.csv:val" $tests --out "$out/trials"
