#!/usr/bin/env bash
# All checks and measurements that need a GPU, in parts that take well under ten minutes each.
# bash scripts/gpu.sh PART    run one part; without PART, list them. DEVICE=cpu: test the script.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
device="${DEVICE:-cuda}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1

case "${1:-}" in
checks) # equality with the CPU, precisions, training and resuming: about two minutes
    "$python" scripts/benchmarks/check_gpu.py --device "$device"
    ;;
generate) # end to end against the bare forward pass, bare decoding and a plain loop: about six minutes
    faces="${FACES:-16384}"
    set -- --device "$device" --precision bf16 --batch "${BATCH:-256}" --faces "$faces" --decode-faces "$faces"
    "$python" scripts/benchmarks/measure_overhead.py "$@"
    "$python" scripts/benchmarks/measure_overhead.py "$@" --compile --measure forward
    ;;
train) # the loop's step against a bare step on a batch in memory: about two minutes
    "$python" scripts/benchmarks/measure_training.py --device "$device" --precision bf16 --batch "${BATCH:-128}" \
        --steps "${STEPS:-60}"
    ;;
detectors) # every detector at its paper's input size, a few bf16 steps: about two minutes
    "$python" scripts/benchmarks/check_detectors.py --device "$device" ${NAMES:+--names $NAMES} ${SMALL:+--small $SMALL}
    ;;
cam) # class activation maps against pytorch-grad-cam on the same ViT-S: two minutes
    "$python" scripts/benchmarks/measure_cam.py --device "$device"
    ;;
learn) # train MODEL with MAPS on INDEX (set all three) at its paper's input size: eight minutes
    "$python" -m evaluator run --model "$MODEL" --maps "$MAPS" --data "$INDEX" --hold-out 0.1 \
        --test "lfw=$INDEX:val" --steps "${STEPS:-2000}" --batch "${BATCH:-32}" --precision bf16 \
        --validate-every 500 --device "$device" --out "${OUT:-results}/$MODEL-$(basename "$MAPS" .h5)" \
        ${FLAGS:-}
    ;;
study) # train the paper's two ViT-S on INDEX from DINOV2 (set both), and score its maps: four minutes
    run="${OUT:-results}/vit"
    "$python" -m focus train --data "$INDEX" --encoder vit_small_patch14_dinov2 \
        --encoder-weights "$DINOV2" --positions pretrained --trainable-blocks "${BLOCKS:-6}" \
        --backbone-rate 0.1 --map-source fused --normalise fused_minmax --loss-weight 0.5 \
        --optimizer adamw --lr 1e-3 --weight-decay 0.05 --warmup 0.2 --clip 1 --smallest-crop 0.85 \
        --batch "${BATCH:-32}" --steps "${STEPS:-2500}" --validate-every 250 --precision bf16 \
        --device "$device" --out "$run"
    "$python" -m focus generate --data "$INDEX" --split val --weights "$run" --real-maps fake-class \
        --precision bf16 --device "$device" --out "$run.h5"
    "$python" -m evaluator score --maps "$run.h5" --split val
    ;;
*)
    echo "parts:" && grep -E '^[a-z]+\) #' "$0" | sed 's/) # /: /; s/^/  /'
    exit 2
    ;;
esac
