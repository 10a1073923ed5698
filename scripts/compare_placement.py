"""Paired differences of map files on the same faces: does one place better than the others?

    python scripts/compare_placement.py OURS.h5 OTHER.h5 ... --data INDEX.csv [--split val]

Files whose names differ only in a number behind a last dash, ``focus-0.h5 focus-1.h5``, are seeds
of one system: seeds are paired by their order, and intervals cover faces and seeds. Prints frame
AUC, ``pixel_auc_region`` (inside the face) and ``pixel_auc`` (whole image) of each system, and the
first system's value minus each other's with a 95 % interval, over the faces of the first file.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.comparison.differences import Predictions, measure_difference, read_predictions
from focus.data.index import FaceIndex
from focus.mapstore import MapReader
from focus.ranking import score_auc
from focus.runtime import DeviceFlags

METRICS = {"frame_auc": "frame AUC", "pixel_auc_region": "inside the face", "pixel_auc": "whole"}


def main() -> None:
    """Measure all files on the same faces and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("maps", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    given = parser.parse_args()
    systems: dict[str, list[Path]] = {}
    for path in given.maps:
        systems.setdefault(re.sub(r"-\d+$", "", path.stem), []).append(path)
    index = FaceIndex.read(given.data).where(given.split)
    with MapReader(given.maps[0]) as reader:
        index = index.take(np.isin(index.keys, list(reader.keys())))
    found = {
        name: read_predictions(index, files, True, DeviceFlags(quiet=True))
        for name, files in systems.items()
    }
    ours = next(iter(found))
    for name, theirs in found.items():
        if len(theirs.scores) != len(found[ours].scores):
            counts = f"{ours} has {len(found[ours].scores)} seeds, {name} has {len(theirs.scores)}"
            raise SystemExit(f"{counts}: seeds are paired, so give as many files of each")
    print(f"| maps | seeds | {' | '.join(METRICS.values())} ", end="")
    print("".join(f"| {ours} minus it, {name} " for name in METRICS.values()) + "|")
    print("|---" * (2 + 2 * len(METRICS)) + "|")
    for name, theirs in found.items():
        cells = [name, str(len(theirs.scores)), *describe_values(index, theirs)]
        if name == ours:
            cells += [""] * len(METRICS)
        else:
            difference = measure_difference(index, found[ours], theirs, draws=1000, seed=0)
            cells += [describe_difference(difference.get(metric)) for metric in METRICS]
        print(f"| {' | '.join(cells)} |", flush=True)


def describe_values(index: FaceIndex, found: Predictions) -> list[str]:
    """Return the mean of each metric, and over seeds its standard deviation."""
    rows = [np.array([score_auc(index.labels, scores) for scores in found.scores])]
    rows += [np.nanmean(found.maps[name], axis=1) for name in METRICS if name in found.maps]
    return [
        f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")
        for values in rows
    ]


def describe_difference(found: Mapping[str, Any] | None) -> str:
    """Return a difference with its interval, if it has one."""
    if found is None or found["value"] is None:
        return ""
    value, low, high = (found[name] for name in ("value", "low", "high"))
    return f"{value:+.3f}" if low is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
