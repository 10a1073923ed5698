"""Paired differences of map files on the same faces: does one place better than the others?

    python scripts/compare_placement.py OURS.h5 OTHER.h5 ... --data INDEX.csv [--split val]

Prints, for each other file, the difference of ``pixel_auc_region`` (inside the face) and
``pixel_auc`` (whole image), ours minus theirs, over the fakes that both files hold, with a 95 %
interval over videos in which both share the draws. Takes seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from evaluator.metrics.intervals import Resampling, effective, paired_difference, weighted_mean
from evaluator.scoring.measure import Measured, masked_fakes, measure, video_names
from focus.data.index import FaceIndex
from focus.mapstore.reader import MapReader

METRICS = {"pixel_auc_region": "region_auc", "pixel_auc": "pixel_auc"}


def main() -> None:
    """Measure all files on the same fakes and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("maps", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    given = parser.parse_args()
    index = FaceIndex.read(given.data).where(given.split)
    stored = [stored_keys(path) for path in given.maps]
    index = index.take(np.array([all(key in keys for keys in stored) for key in index.keys]))
    rows = masked_fakes(index, np.arange(len(index)))
    measured = [read(index, rows, path) for path in given.maps]
    print(f"| {given.maps[0].stem} minus | {' | '.join(METRICS)} | fakes |")
    print("|---" * (len(METRICS) + 2) + "|")
    for path, other in zip(given.maps[1:], measured[1:], strict=True):
        cells = [compare(index, measured[0], other, field) for field in METRICS.values()]
        print(f"| {path.stem} | {' | '.join(cells)} | {len(rows)} |")


def stored_keys(path: Path) -> frozenset[str]:
    """Return the keys of a map file's faces."""
    with MapReader(path) as reader:
        return frozenset(reader.keys())


def read(index: FaceIndex, rows: np.ndarray, path: Path) -> Measured:
    """Return the comparison of a file's maps with the masks."""
    with MapReader(path) as reader:
        return measure(index, rows, reader, quiet=True)


def compare(index: FaceIndex, ours: Measured, other: Measured, field: str) -> str:
    """Return ours, theirs, and the difference with its interval."""
    values = [np.asarray(getattr(each.maps, field), np.float64) for each in (ours, other)]
    names = video_names(index)
    videos = [names[row] for row in ours.rows]
    resampling = Resampling.over(videos)
    units = resampling.units
    first, second = (weighted_mean(each, units) for each in values)
    count = effective(units, ~np.isnan(values[0]))
    found = paired_difference(first, second, resampling, count, len(videos))
    one, two = (np.nanmean(each) for each in values)
    return f"{one:.3f} - {two:.3f} = {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


if __name__ == "__main__":
    main()
