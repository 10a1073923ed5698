#!/usr/bin/env bash
# Make the released model focus-small, with fixed seeds: join the corpora, train in two parts,
# calibrate on val people, pack. Resumable. The first part takes three minutes on one large GPU or
# some hours on two CPU cores, the second an hour on two CPU cores.
#
#   scripts/release.sh LFW_SWAP.csv PORTRAITS.csv PHOTOGRAPHS.csv ENCODER_WEIGHTS OUT
#
# PHOTOGRAPHS.csv: the index that scripts/release_photographs.py writes.
set -euo pipefail
lfw=$1 portraits=$2 photographs=$3 weights=$4 out=$5
mkdir -p "$out"
python scripts/join_indexes.py "$out/first.csv" "lfw=$lfw" "portraits=$portraits"
python scripts/join_indexes.py "$out/index.csv" "lfw=$lfw" "portraits=$portraits" "portraits=$photographs"

train() { # RUN FLAGS...: a training on real faces, swaps and edits made on the fly
    local run=$1 resume=()
    [ -f "$run/finished" ] && return
    [ -f "$run/config.json" ] && resume=(--resume)
    focus train "${@:2}" --augment self-blend photometric --balance pair --smallest-crop 0.75 \
        --edits blend warp inpaint smooth clone splice recolour noise resample decode \
        --precision bf16 --out "$run" "${resume[@]}"
}
train "$out/first" small --data "$out/first.csv" --encoder-weights "$weights" \
    --batch 96 --steps 1100 --validate-every 275
train "$out/focus-small" --data "$out/index.csv" --init "$out/first" \
    --batch 32 --steps 1400 --validate-every 700 --ema 0.99 \
    --optimizer adamw --lr 5e-4 --weight-decay 0.05 --warmup 0.05 --schedule cosine

if [ ! -f "$out/edits/index.csv" ]; then # other kinds of forgery of val people, to report on
    awk -F, 'NR == 1 || ($2 == 0 && $3 == "val" && /portraits/)' "$out/first.csv" > "$out/val.csv"
    focus forge --data "$out/val.csv" --per-face 8 --out "$out/edits" \
        --forgery warp inpaint smooth clone recolour noise resample decode || true
fi
python scripts/pack_release.py "$out/focus-small" "$out/index.csv" focus/released/focus-small.safetensors \
    --more "$out/edits/index.csv" --card docs/models.md
