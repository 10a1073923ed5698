#!/usr/bin/env bash
# Train a probe with each kind of map: no maps, FoCus, SSIM, pixel@0.1, truth; three seeds.
# Takes about half an hour on two CPU cores; should show how much each kind changes detection and
# localisation on persons not used for training or selection. Trains and selects on the index's
# train split (a tenth of its videos held out), tests on its val split.
#
#   scripts/benchmarks/compare_maps.sh INDEX RUN ENCODER_WEIGHTS OUT [STEPS]
#
# INDEX: a face index with originals and masks; RUN: a FoCus run trained on its train split;
# ENCODER_WEIGHTS: MobileNetV2 for the probe. Finished results are kept; re-running resumes.
set -euo pipefail
index=$1 run=$2 weights=$3 out=$4 steps=${5:-150}
mkdir -p "$out/maps"

make_maps() { focus generate --method "$1" --data "$index" --out "$out/maps/$1.h5" --quiet "${@:2}"; }
make_maps ssim
make_maps pixel@0.1
# Use the last weights, not those selected on val: val is the test set here.
make_maps focus --weights "$run/last.safetensors" --precision bf16 --parts

for kind in none "$out/maps/focus.h5" "$out/maps/ssim.h5" "$out/maps/pixel@0.1.h5" truth; do
  name=$(basename "$kind" .h5)
  evaluator run --model probe --maps "$kind" --data "$index" --hold-out 0.1 --test "lfw=$index:val" \
    --options encoder=mobilenetv2_100 "encoder_weights=$weights" image_size=128 channels=32 \
    --steps "$steps" --batch 32 --validate-every "$steps" --optimizer adamw --lr 1e-3 \
    --weight-decay 0.05 --warmup 0.2 --smallest-crop 0.85 --precision bf16 --seeds 3 \
    --out "$out/$name"
done
evaluator table "$out"/{none,focus,ssim,pixel@0.1,truth} \
  --columns frame_auc frame_ap pixel_auc pixel_auc_region pxap iou_fake fp_area_real
