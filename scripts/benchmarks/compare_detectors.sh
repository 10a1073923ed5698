#!/usr/bin/env bash
# Train every detector under each kind of maps: one seed, small images, few steps. Should show that
# each trains, is evaluated and generates maps end to end. Too short and too small to rank the
# detectors: those with a choice of encoder start from MobileNetV2, the others from random weights.
#
#   scripts/benchmarks/compare_detectors.sh INDEX "MAPS.h5 ..." ENCODER_WEIGHTS OUT [STEPS] [DETECTOR ...]
#
# INDEX: a face index; MAPS: map files of it; ENCODER_WEIGHTS: MobileNetV2. lttd needs clips: still
# images move a little, which gives nothing temporal to learn.
set -euo pipefail
index=$1 weights=$3 out=$4 steps=${5:-150}
read -ra maps <<< "$2"
detectors=("${@:6}")
[ ${#detectors[@]} -gt 0 ] || detectors=(probe pcl msccnet smp facexray m2tr patches caddm mvss
  catnet multitask ffd hpfcn sladd-head telltales monfap lttd)

options() {
  local mobilenet="encoder=mobilenetv2_100 encoder_weights=$weights image_size=128"
  case $1 in
    probe) echo "$mobilenet channels=64" ;;
    pcl | facexray | m2tr) echo "$mobilenet" ;;
    msccnet) echo "$mobilenet width=64" ;;
    smp) echo "$mobilenet architecture=FPN" ;;
    patches) echo "$mobilenet stage=3" ;;
    caddm) echo "backbone=resnet34 encoder_weights=none image_size=112 adm_width=64" ;;
    mvss) echo "encoder=resnet10t encoder_weights=none image_size=96 width=64" ;;
    catnet) echo "encoder=hrnet_w18_small encoder_weights=none image_size=96" ;;
    ffd | sladd-head) echo "encoder_weights=none image_size=96" ;;
    multitask) echo "image_size=96" ;;
    hpfcn) echo "image_size=96 width=8" ;;
    monfap) echo "encoder_weights=none image_size=128" ;;
    telltales) echo "encoder_weights=none image_size=112" ;;
    lttd) echo "image_size=64 frames=4 width=96 heads=3 depth=1 channels=16" ;;
  esac
}

settings=()
for model in "${detectors[@]}"; do
  for option in $(options "$model"); do settings+=("$model.$option"); done
done
evaluator compare --model "${detectors[@]}" --maps "${maps[@]}" \
  --data "$index" --hold-out 0.1 --test "lfw=$index:val" --stills --out "$out" \
  --steps "$steps" --batch 32 --validate-every "$steps" --optimizer adamw --lr 1e-3 \
  --weight-decay 0.05 --warmup 0.2 --schedule cosine --smallest-crop 0.85 --precision bf16 \
  --options "${settings[@]}"
