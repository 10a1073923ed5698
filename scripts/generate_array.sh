#!/usr/bin/env bash
#SBATCH --gpus=1 --cpus-per-task=8 --time=4:00:00 --signal=B:TERM@120 --requeue --open-mode=append
# Maps of a list of tars in a SLURM array: each task takes every N-th tar of the list, N being the number of tasks,
# and writes OUT/NAME.h5 for each NAME.tar. Tars and OUT may be URLs (s3://, gs://). Re-running resumes.
#
#     sbatch --array=0-999 scripts/generate_array.sh tars.txt s3://bucket/maps --weights runs/paper --precision bf16
#
# Further words go to `focus generate`. Exit code: 0, or 1 if a tar could not be processed.
set -uo pipefail
[ $# -ge 2 ] || { echo "usage: $0 LIST OUT [flags of focus generate]"; exit 2; }
list=$1 out=$2; shift 2
task=${SLURM_ARRAY_TASK_ID:?run it in a SLURM array, starting at 0}
tasks=${SLURM_ARRAY_TASK_COUNT:?run it in a SLURM array, starting at 0}
mapfile -t tars < <(grep -v '^ *$' "$list")
repeated=$(for tar in "${tars[@]}"; do basename "$tar"; done | sort | uniq -d | head -n 1)
[ -z "$repeated" ] || { echo "$list: two tars are named $repeated, and so would be their map files"; exit 2; }
[[ $out == *://* ]] || mkdir -p "$out"
failed=0 running=
trap '[ -z "$running" ] || kill -TERM "$running"' TERM
for ((number = task; number < ${#tars[@]}; number += tasks)); do
    tar=${tars[number]}
    name=$(basename "$tar"); maps=$out/${name%%.tar*}.h5
    [ -f "$maps" ] && continue
    focus generate --data "$tar" --out "$maps" --quiet "$@" &
    running=$!
    wait "$running"; code=$?
    # A signal ends the first wait before the command has saved its work and ended.
    while kill -0 "$running" 2>/dev/null; do wait "$running"; code=$?; done
    running=
    case $code in
    0 | 1) ;; # 1: complete, but faces were skipped; NAME.h5.errors.csv lists them
    130 | 143) scontrol requeue "$SLURM_JOB_ID"; exit 1 ;; # out of time: the same task resumes
    *) failed=1 ;; # one line says what is wrong with this tar; the others are independent
    esac
done
exit $failed
