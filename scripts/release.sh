#!/usr/bin/env bash
# Make the released model focus-small from LFW swaps and portraits, with fixed seeds: join the
# corpora, train, calibrate on val people, pack. Resumable. About three minutes on one large GPU;
# a night on two CPU cores.
#
#   scripts/release.sh LFW_SWAP.csv PORTRAITS.csv ENCODER_WEIGHTS OUT
set -euo pipefail
lfw=$1 portraits=$2 weights=$3 out=$4
run="$out/focus-small"
mkdir -p "$out"
python scripts/join_indexes.py "$out/index.csv" "lfw=$lfw" "portraits=$portraits"
if [ ! -f "$run/finished" ]; then
    resume=()
    [ -f "$run/config.json" ] && resume=(--resume)
    focus train small --data "$out/index.csv" --encoder-weights "$weights" \
        --augment self-blend photometric --balance pair --smallest-crop 0.75 \
        --edits blend warp inpaint smooth clone splice recolour noise resample decode \
        --batch 96 --steps 1100 --validate-every 275 --precision bf16 --out "$run" "${resume[@]}"
fi
if [ ! -f "$out/edits/index.csv" ]; then # other kinds of forgery of val people, to report on
    awk -F, 'NR == 1 || ($2 == 0 && $3 == "val" && /portraits/)' "$out/index.csv" > "$out/val.csv"
    focus forge --data "$out/val.csv" --per-face 8 --out "$out/edits" \
        --forgery warp inpaint smooth clone recolour noise resample decode || true
fi
python scripts/pack_release.py "$run" "$out/index.csv" focus/released/focus-small.safetensors \
    --more "$out/edits/index.csv" --card docs/models.md
