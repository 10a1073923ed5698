#!/usr/bin/env bash
# Score every map generator that needs no training, or trains in minutes, on one val split. Takes
# about twenty minutes on two CPU cores, not counting the FoCus run; should show how well each kind
# of map localises inside the face, compared with the place prior, and how much of a real face each
# normalisation marks.
#
#   scripts/benchmarks/compare_generators.sh INDEX RUN ENCODER_WEIGHTS OUT
#
# INDEX: a face index with originals and masks; RUN: a FoCus run trained on its train split;
# ENCODER_WEIGHTS: MobileNetV2 for the classifier. Finished results are kept.
set -euo pipefail
index=$1 run=$2 weights=$3 out=$4
mkdir -p "$out"
methods="partial-left partial-right partial-eyes partial-mouth partial-blob"

[ -f "$out/classifier/finished" ] || focus train small --model classifier --data "$index" \
  --encoder-weights "$weights" --steps 400 --validate-every 400 --precision bf16 \
  --out "$out/classifier" $([ -f "$out/classifier/config.json" ] && echo --resume)
[ -f "$out/vit/finished" ] || focus train small --model classifier --data "$index" \
  --encoder vit_tiny_patch16_224 --encoder-weights none --image-size 112 --stage -1 --steps 600 \
  --validate-every 600 --precision bf16 --out "$out/vit" \
  $([ -f "$out/vit/config.json" ] && echo --resume)

make_maps() { # NAME METHOD FLAGS...
  focus generate --data "$index" --split val --methods $methods --real-maps fake-class --quiet \
    --method "$2" --out "$out/$1.h5" "${@:3}"
  # The truth mask is not scored: it is only for training.
  [ "$1" = mask ] || evaluator score --maps "$out/$1.h5" --split val --json - --quiet > "$out/$1.json"
}

for method in ssim dssim pixel pixel@0.1 annotation mask; do make_maps $method $method; done
for method in focus focus-max; do
  make_maps $method $method --weights "$run/last.safetensors" --parts --precision bf16
done
for method in gradcam gradcam++ layercam; do
  make_maps $method $method --weights "$out/classifier" --parts --precision bf16
done
# Score-CAM needs a forward pass per channel and face: use only every tenth face.
focus index --data "$index" --split val --methods $methods --out "$out/val.csv" > "$out/val.txt"
awk 'NR == 1 || NR % 10 == 0' "$out/val.csv" > "$out/tenth.csv"
focus generate --data "$out/tenth.csv" --real-maps fake-class --quiet --method scorecam \
  --weights "$out/classifier" --precision bf16 --out "$out/scorecam.h5"
evaluator score --maps "$out/scorecam.h5" --split val --json - --quiet > "$out/scorecam.json"
for method in attention rollout; do make_maps $method $method --weights "$out/vit" --parts; done
for mode in class_minmax global image_minmax; do
  for method in focus gradcam; do
    focus renormalise "$out/$method.h5" --normalise $mode --out "$out/$method-$mode.h5" --quiet
    evaluator score --maps "$out/$method-$mode.h5" --split val --json - --quiet \
      > "$out/$method-$mode.json"
  done
done
evaluator table "$out"/{focus,focus-max,gradcam,gradcam++,layercam,scorecam,attention,rollout}.json \
  "$out"/{ssim,dssim,pixel,pixel@0.1,annotation}.json \
  --columns pixel_auc pxap pixel_auc_region fp_area_real
evaluator table "$out"/{focus,gradcam}-{class_minmax,global,image_minmax}.json \
  --columns pixel_auc pxap pixel_auc_region iou_fake fp_area_real
