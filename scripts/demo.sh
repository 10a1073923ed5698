#!/usr/bin/env bash
# All steps on drawn faces, in demo/: draw the corpus, train a small FoCus and a plain classifier,
# generate maps, score them against the exact masks, and write demo/report.html.
# Takes at most six minutes on two CPU cores after the installation. Existing results are reused;
# remove demo/ to start over.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
out=demo
index="$out/data/index.csv"
mkdir -p "$out"

say() { printf '\n%s\n' "== $* =="; }

say "Drawing the corpus"
[ -f "$index" ] || python -m focus.data.demo "$out/data"

for kind in focus classifier; do
    say "Training: $kind"
    run="$out/runs/$kind"
    if [ -f "$run/finished" ]; then
        echo "$run is finished"
    else
        resume=()
        [ -f "$run/config.json" ] && resume=(--resume)
        focus train demo --model "$kind" --data "$index" --out "$run" --precision bf16 "${resume[@]}"
    fi
done

say "Generating maps of the test split"
generate() { focus generate --data "$index" --split test --real-maps fake-class "$@"; }
generate --method focus --weights "$out/runs/focus" --out "$out/focus.h5"
generate --method gradcam --weights "$out/runs/classifier" --out "$out/gradcam.h5"

say "Scoring against the exact masks"
for name in focus gradcam; do
    evaluator score --maps "$out/$name.h5" --json - --quiet > "$out/$name.json"
done
focus view "$out/focus.h5" --compare Grad-CAM="$out/gradcam.h5" --summary "$out/focus.json" \
    --title "FoCus on the drawn demo corpus" --out "$out/report.html" --quiet

echo
evaluator table FoCus="$out/focus.json" Grad-CAM="$out/gradcam.json" \
    --columns frame_auc pixel_auc pixel_auc_region pxap
echo
echo "Open $out/report.html"
