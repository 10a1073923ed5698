#!/usr/bin/env bash
# The study of docs/study.md on one encoder: FoCus, its forms before this study, its ablations and its
# rivals, each trained with the same steps, batch and augmentation, and judged on people that it
# never saw. Every step is resumable; results that exist are kept. On one large GPU about 10 minutes
# a seed; on two CPU cores a training of 1,100 steps at 224 px takes 50 minutes, and one of 500 steps
# at 112 px (7 x 7 cells) and BATCH=16 six.
#
#   scripts/study_lfw_swap.sh INDEX ENCODER_WEIGHTS OUT [SEEDS] [STEPS] [SIZE] [SYSTEM ...]
#
# INDEX: a face index with splits, masks and regions, whose val fakes include parts of swaps;
# ENCODER_WEIGHTS: MobileNetV2; SEEDS: such as "0 1 2" (default 0); STEPS: default 1100; SIZE: input
# pixels, 16 to a cell, default 224; SYSTEM: default all of `settings` and scorecam; $BATCH: faces a
# step, default 32.
set -euo pipefail
index=$1 weights=$2 out=$3 seeds=${4:-0} steps=${5:-1100} size=${6:-224}
systems=("${@:7}")
[ ${#systems[@]} -gt 0 ] || systems=(focus paper classifier patches rgb srm dct k1 k8 k128 lambda0.01
  lambda0.1 lambda10 scorecam)
methods="partial-left partial-right partial-eyes partial-mouth partial-blob"
shared=(--data "$index" --precision bf16 --steps "$steps" --batch "${BATCH:-32}"
  --validate-every $((steps > 600 ? steps / 4 : steps / 2)))
mkdir -p "$out"

settings() { # SYSTEM: its flags of focus train
    local network="--encoder-weights $weights --image-size $size"
    case $1 in
        # FoCus as in the small recipe: the map comes from the fused tokens.
        focus) echo "small $network" ;;
        # As in the paper: two maps joined by the choice, each scaled by itself.
        paper) echo "small $network --map-source modalities --normalise class_minmax" ;;
        # Table V: the second modality. Fig. 10: K, 32 by default. Fig. 11: lambda, 1 by default.
        rgb | srm | dct) echo "small $network --second $1" ;;
        k*) echo "small $network --maps-per-class ${1#k}" ;;
        lambda*) echo "small $network --loss-weight ${1#lambda}" ;;
        # Rivals from labels alone.
        classifier) echo "small $network --model classifier" ;;
        patches) echo "--model patches --optimizer adamw --lr 1e-3 --weight-decay 0.05
            --warmup 0.2 --smallest-crop 0.85 --options encoder=mobilenetv2_100 stage=3
            image_size=$size encoder_weights=$weights" ;;
    esac
}

generators() { # SYSTEM: NAME=METHOD of the maps that its run makes
    case $1 in
        # Table VI: the larger of both maps in place of the choice, and CAMs of a plain classifier.
        paper) echo "paper=focus paper-max=focus-max" ;;
        classifier) echo "gradcam=gradcam gradcam++=gradcam++ layercam=layercam" ;;
        scorecam) echo "scorecam=scorecam" ;; # of the classifier, and slow
        patches) echo "patches-maps=patches" ;;
        *) echo "$1=focus" ;;
    esac
}

learn() { # SYSTEM SEED: train one run unless it is finished
    local run="$out/$1-$2" resume=()
    [ -f "$run/finished" ] && return
    [ -f "$run/config.json" ] && resume=(--resume)
    focus train $(settings "$1") "${shared[@]}" --seed "$2" --out "$run" "${resume[@]}"
}

draw() { # NAME METHOD RUN: maps of the parts of swaps and of the real faces, and their scores
    [ -f "$out/$1.json" ] && return
    focus generate --data "$index" --split val --methods $methods --real-maps fake-class --quiet \
        --method "$2" --weights "$out/$3" --precision bf16 --out "$out/$1.h5"
    evaluator score --maps "$out/$1.h5" --split val --json "$out/$1.json" --quiet
}

for seed in $seeds; do
    for system in "${systems[@]}"; do
        run=${system/#scorecam/classifier}
        learn "$run" "$seed"
        for made in $(generators "$system"); do draw "${made%=*}-$seed" "${made#*=}" "$run-$seed"; done
    done
done
compared=()
for system in "${systems[@]}"; do
    for made in $(generators "$system"); do
        for seed in $seeds; do compared+=("$out/${made%=*}-$seed.h5"); done
    done
done
python scripts/compare_placement.py "${compared[@]}" --data "$index"
