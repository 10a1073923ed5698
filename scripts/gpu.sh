#!/usr/bin/env bash
# All checks and measurements that need a GPU, in parts that end well inside ten minutes each.
# bash scripts/gpu.sh PART    one part; without PART, the list. DEVICE=cpu tries the script out.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
device="${DEVICE:-cuda}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1

case "${1:-}" in
checks) # equality with the CPU, precisions, training and resuming: about two minutes
    "$python" scripts/check_gpu.py --device "$device"
    ;;
generate) # end to end against the bare forward pass and bare decoding: about four minutes
    faces="${FACES:-16384}"
    "$python" scripts/measure_overhead.py --device "$device" --precision bf16 --batch 256 --faces "$faces"
    ;;
*)
    echo "parts:" && grep -E '^[a-z]+\) #' "$0" | sed 's/) # /: /; s/^/  /'
    exit 2
    ;;
esac
