#!/usr/bin/env bash
# Kinds of edit that a training never saw, on people that it never saw: `focus train` with the other
# kinds made on the fly, tested on real val faces edited by the kinds left out and by all others.
# On one large GPU a training takes two minutes; on two CPU cores an hour; each test some minutes.
#
#   scripts/study_unseen.sh INDEX ENCODER_WEIGHTS OUT "KINDS LEFT OUT" [STEPS]
#
# INDEX: of scripts/join_indexes.py, with the splits train and val. $FOCUS_LANDMARKS, if set, places
# the edits. Finished results are kept.
set -euo pipefail
index=$1 weights=$2 out=$3 left_out=$4 steps=${5:-1100}
kinds="warp inpaint smooth clone recolour noise resample decode"
run="$out/without-${left_out// /-}"
mkdir -p "$out"

trained="blend splice"
for kind in $kinds; do [[ " $left_out " == *" $kind "* ]] || trained+=" $kind"; done

if [ ! -f "$out/edits/index.csv" ]; then
    awk -F, 'NR == 1 || ($2 == 0 && $3 == "val")' "$index" > "$out/val.csv"
    focus forge --data "$out/val.csv" --forgery $kinds --per-face 8 --out "$out/edits"
fi
if [ ! -f "$run/finished" ]; then
    resume=()
    [ -f "$run/config.json" ] && resume=(--resume)
    focus train small --data "$index" --encoder-weights "$weights" --augment self-blend photometric \
        --edits $trained --balance pair --smallest-crop 0.75 --batch 32 --steps "$steps" \
        --validate-every 275 --precision bf16 --out "$run" "${resume[@]}"
fi
focus generate --data "$out/edits/index.csv" --real-maps fake-class --weights "$run" \
    --precision bf16 --quiet --out "$run.h5"
evaluator score --maps "$run.h5" --by method corpus --json "$run.json"
