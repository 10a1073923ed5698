#!/usr/bin/env bash
# Train each detector with FoCus maps and with SSIM maps: one seed, small images, few steps. Takes
# about half an hour on two CPU cores; should show that each trains, is evaluated and generates maps
# end to end. Too short and too small to rank the detectors: all but pcl and msccnet start from
# random weights here, without a pretrained file.
#
#   scripts/benchmarks/compare_detectors.sh INDEX MAPS ENCODER_WEIGHTS OUT [STEPS] [DETECTOR ...]
#
# INDEX: a face index; MAPS: a folder with focus.h5 and ssim.h5 of it; ENCODER_WEIGHTS: MobileNetV2.
# lttd needs clips: --stills moves still images a little, which gives nothing temporal to learn.
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
    lttd) # 3-D convolutions are slow in bf16 on a CPU
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
evaluator table "$out"/*-{focus,ssim} --columns frame_auc frame_acc pixel_auc pixel_auc_region pxap
