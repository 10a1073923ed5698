#!/usr/bin/env bash
# Each detector under FoCus maps and under SSIM maps: one seed, small pictures, few steps. Costs
# about half an hour on two CPU cores; should show that each learns, is judged and draws maps from
# start to end. It is too short and too small to say which detector is better: those without a
# pretrained file at hand (all but pcl and msccnet here) start from random weights.
#
#   scripts/benchmarks/compare_detectors.sh INDEX MAPS ENCODER_WEIGHTS OUT [STEPS] [DETECTOR ...]
#
# INDEX: a face index; MAPS: a folder with focus.h5 and ssim.h5 of it; ENCODER_WEIGHTS: MobileNetV2.
# lttd wants clips: stills are moved a little (--stills), which has nothing temporal to learn from.
set -euo pipefail
index=$1 maps=$2 weights=$3 out=$4 steps=${5:-150}
detectors=("${@:6}")
[ ${#detectors[@]} -gt 0 ] || detectors=(pcl msccnet caddm monfap telltales lttd)

options() {
  case $1 in
    pcl) echo "encoder=mobilenetv2_100 encoder_weights=$weights image_size=128" ;;
    msccnet) echo "encoder=mobilenetv2_100 encoder_weights=$weights image_size=128 width=64" ;;
    caddm) echo "backbone=resnet34 encoder_weights=none image_size=112 adm_width=64" ;;
    monfap) echo "encoder_weights=none image_size=128" ;;
    telltales) echo "encoder_weights=none image_size=112" ;;
    lttd) # 3-D convolutions have no quick bf16 on a CPU
      echo "image_size=64 frames=4 width=96 heads=3 depth=1 channels=16 --stills --precision fp32" ;;
  esac
}

for model in "${detectors[@]}"; do
  for kind in focus ssim; do
    evaluator run --model "$model" --maps "$maps/$kind.h5" --data "$index" --hold-out 0.1 \
      --test "lfw=$index:val" --steps "$steps" --batch 32 --validate-every "$steps" \
      --optimizer adamw --lr 1e-3 --weight-decay 0.05 --warmup 0.2 --schedule cosine \
      --smallest-crop 0.85 --precision bf16 --out "$out/$model-$kind" --options $(options "$model")
  done
done
evaluator table "$out"/*-{focus,ssim} --metrics frame_auc frame_acc pixel_auc pixel_auc_region pxap
