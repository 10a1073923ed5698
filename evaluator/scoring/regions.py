"""Maps against region labels: which of eyes, nose and mouth were manipulated.

Some corpora name the manipulated regions of a face without a mask. For an upright face crop with
the usual margin, the position of each part is known well enough to test whether the map is higher
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import compress

import cv2
import numpy as np

from evaluator.metrics.intervals import Estimate, Resampling, estimate, mean
from focus.data.index import FaceIndex
from focus.data.landmarks import FaceShape
from focus.errors import InputError
from focus.mapstore import MapReader
from focus.ranking import auc
from focus.types import FAKE

COLUMN = "parts"
REGIONS = ("eyes", "nose", "mouth")
SIDE = 112
_BLOCK = 2048


def region_metrics(
    index: FaceIndex, rows: np.ndarray, reader: MapReader, draws: int, seed: int
) -> dict[str, Estimate]:
    """Score maps of fakes whose column ``parts`` names the manipulated parts.

    ``part_auc``: mean over fakes of the AUC of the map's mean level on the manipulated parts
    against the others (ties count one half). ``part_pointing``: share of fakes whose highest part
    is manipulated (with ties, the manipulated share of the highest). Fakes of which all or none of
    the parts were manipulated are excluded.

    Args:
        index: the faces.
        rows: int (N,), faces to score; a missing map counts as high on the unchanged parts only.
        reader: the map file.
        draws: bootstrap draws over videos.
        seed: seed of the draws.

    Raises:
        InputError: a part other than eyes, nose and mouth.
    """
    changed = np.array([_changed(text) for text in index.column(COLUMN)], dtype=bool)[rows]
    partly = (index.labels[rows] == FAKE) & changed.any(axis=1) & ~changed.all(axis=1)
    chosen, changed = rows[partly], changed[partly]
    keys = [index.keys[row] for row in chosen]
    has_map = np.array([key in reader for key in keys], dtype=bool)
    levels = 1.0 - changed
    levels[has_map] = region_levels(reader, list(compress(keys, has_map)))
    order = (levels[:, None, :] < levels[:, :, None]).sum(axis=2)  # equal levels share a rank
    places = np.arange(len(REGIONS))
    positives = ((order[:, :, None] == places) & changed[:, :, None]).sum(axis=1)
    negatives = ((order[:, :, None] == places) & ~changed[:, :, None]).sum(axis=1)
    top = levels == levels.max(axis=1, keepdims=True)
    hits = (top & changed).sum(axis=1) / np.maximum(top.sum(axis=1), 1)
    videos = index.column("video")
    resampling = Resampling.over([videos[row] for row in chosen], draws, seed)
    reason = "no fake with some parts manipulated and others not"
    terms = [
        mean("part_auc", auc(positives, negatives), reason),
        mean("part_pointing", hits.astype(np.float64), reason, counted=True),
    ]
    return estimate(terms, resampling)


def region_levels(reader: MapReader, keys: Sequence[str]) -> np.ndarray:
    """Return the mean level of maps on each part, float64 (N, 3) in [0, 1]."""
    rows = np.array([reader.row(key) for key in keys], dtype=np.int64)
    weights = region_weights(*reader.shape)
    found = [
        np.tensordot(reader.read(rows[start : start + _BLOCK]), weights, ([1, 2], [1, 2]))
        for start in range(0, len(rows), _BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros((0, len(REGIONS)))


@cache
def region_weights(height: int, width: int) -> np.ndarray:
    """Return the weight of each map cell for each part, float64 (3, height, width), sum 1."""
    shape = FaceShape.from_box(SIDE, SIDE)
    eyes, mouth = cv2.convexHull(shape.eyes), cv2.convexHull(shape.mouth)
    across, top = float(np.ptp(shape.mouth[:, 0])) / 2, float(shape.eyes[:, 1].mean())
    bottom, middle = float(shape.mouth[:, 1].min()), float(shape.mouth[:, 0].mean())
    left, right = middle - across / 2, middle + across / 2
    nose = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    weights = []
    for polygon in (eyes, nose, mouth):
        plane = np.zeros((SIDE, SIDE), dtype=np.float32)
        cv2.fillConvexPoly(plane, polygon.round().astype(np.int32), 1.0)
        weights.append(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))
    stacked = np.stack(weights).astype(np.float64)
    return stacked / stacked.sum(axis=(1, 2), keepdims=True)


def _changed(text: str) -> tuple[bool, ...]:
    """Return which parts a cell names; separators: spaces, commas, semicolons."""
    names = set(text.replace(",", " ").replace(";", " ").split())
    strange = sorted(names - {*REGIONS})
    if strange:
        raise InputError(f"column {COLUMN}: no part '{strange[0]}'; use {', '.join(REGIONS)}")
    return tuple(part in names for part in REGIONS)
