#!/usr/bin/env bash
# The study of docs/study.md on one encoder: FoCus, its forms before this study, and its rivals, each
# trained with the same steps, batch and augmentation, and judged on people that it never saw.
# Every step is resumable; results that exist are kept. On one large GPU about 10 minutes a seed; on
# two CPU cores a training takes 40 to 60 minutes.
#
#   scripts/study_lfw_swap.sh INDEX ENCODER_WEIGHTS OUT [SEEDS] [STEPS]
#
# INDEX: a face index with splits, masks and regions, whose val fakes include parts of swaps;
# ENCODER_WEIGHTS: MobileNetV2; SEEDS: such as "0 1 2" (default 0); STEPS: default 1100.
set -euo pipefail
index=$1 weights=$2 out=$3 seeds=${4:-0} steps=${5:-1100}
methods="partial-left partial-right partial-eyes partial-mouth partial-blob"
shared=(--data "$index" --precision bf16 --steps "$steps" --validate-every 275)
mkdir -p "$out"

learn() { # NAME FLAGS...: train one run unless it is finished
    local run="$out/$1" resume=()
    [ -f "$run/finished" ] && return
    [ -f "$run/config.json" ] && resume=(--resume)
    focus train "${@:2}" "${shared[@]}" --seed "$seed" --out "$run" "${resume[@]}"
}

draw() { # NAME METHOD RUN: maps of the parts of swaps and of the real faces, and their scores
    [ -f "$out/$1.json" ] && return
    focus generate --data "$index" --split val --methods $methods --real-maps fake-class --quiet \
        --method "$2" --weights "$out/$3" --precision bf16 --out "$out/$1.h5"
    evaluator score --maps "$out/$1.h5" --split val --json "$out/$1.json" --quiet
}

for seed in $seeds; do
    # FoCus as in the small recipe: the map comes from the fused tokens.
    learn "focus-$seed" small --encoder-weights "$weights"
    # As in the paper: two maps joined by the choice, each scaled by itself.
    learn "paper-$seed" small --encoder-weights "$weights" --map-source modalities \
        --normalise class_minmax
    # The ablations of Table V: the second modality.
    for second in rgb srm dct; do
        learn "$second-$seed" small --encoder-weights "$weights" --second "$second"
    done
    # Rivals from labels alone.
    learn "classifier-$seed" small --model classifier --encoder-weights "$weights"
    learn "patches-$seed" --model patches --batch 32 --optimizer adamw --lr 1e-3 \
        --weight-decay 0.05 --warmup 0.2 --smallest-crop 0.85 --options encoder=mobilenetv2_100 \
        stage=3 image_size=224 "encoder_weights=$weights"
    for name in focus paper rgb srm dct; do draw "$name-$seed" focus "$name-$seed"; done
    draw "paper-max-$seed" focus-max "paper-$seed"
    for cam in gradcam gradcam++ layercam; do draw "$cam-$seed" "$cam" "classifier-$seed"; done
    draw "patches-maps-$seed" patches "patches-$seed"
    python scripts/compare_placement.py "$out/focus-$seed.h5" \
        "$out"/{paper,paper-max,rgb,srm,dct,gradcam,gradcam++,layercam,patches-maps}-"$seed.h5" \
        --data "$index"
done
evaluator table "$out"/*.json \
    --columns frame_auc pixel_auc pixel_auc_region pxap pointing fp_area_real
