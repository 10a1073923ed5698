"""Paired differences of trials on the same faces, with the uncertainty of faces and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluator.metrics.image import auc_difference, video_groups
from evaluator.metrics.intervals import (
    Estimate,
    Resampling,
    effective,
    paired_difference,
    weighted_mean,
)
from evaluator.scoring.measure import masked_fakes, measure_each, stored_rows, video_names
from evaluator.trial.results import join_values
from focus.data.index import FaceIndex
from focus.mapstore import MapReader
from focus.runtime import DeviceFlags

_OF_MAPS = {"pixel_auc": "pixel_auc", "pixel_auc_region": "region_auc"}
"""Metric -> attribute of the histograms."""


class Predictions(NamedTuple):
    """Predictions of a trial for the N faces of a test set, by S seeds."""

    scores: np.ndarray
    """float64 (S, N): P(fake), NaN if missing."""
    maps: dict[str, np.ndarray]
    """Metric -> float64 (S, N), NaN where undefined; empty if maps are not judged."""


def read_predictions(
    index: FaceIndex, files: Sequence[Path], judged_maps: bool, runtime: DeviceFlags
) -> Predictions:
    """Read the map file of every seed, and compare its maps with the truth."""
    scores = np.full((len(files), len(index)), np.nan)
    stored = []
    for seed, path in enumerate(files):
        with MapReader(path) as reader:
            there = stored_rows(reader, index.keys)
            scores[seed, there >= 0] = reader.scores[there[there >= 0]]
            stored.append(there >= 0)
    rows = masked_fakes(index, np.arange(len(index)))
    maps: dict[str, np.ndarray] = {}
    if not judged_maps or not len(rows):
        return Predictions(scores, maps)
    device = runtime.accelerator().device
    for seed, path in enumerate(files):
        own = rows[stored[seed][rows]]
        with MapReader(path) as reader:
            found = measure_each(index, own, [reader], device=device, quiet=runtime.quiet)[0]
        for name, attribute in _OF_MAPS.items():
            values = maps.setdefault(name, np.full(scores.shape, np.nan))
            values[seed, found.rows] = getattr(found.maps, attribute)
    return Predictions(scores, {name: v for name, v in maps.items() if not np.isnan(v).all()})


def measure_difference(
    index: FaceIndex, first: Predictions, second: Predictions, draws: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return the differences of metrics, first minus second, over the seeds.

    The two trials are paired by face and by seed. The interval combines the bootstrap over videos,
    whose draws both share, with the spread of the differences over seeds.

    Args:
        index: the test faces.
        first: predictions of the first trial.
        second: predictions of the second trial.
        draws: bootstrap draws; 0 for no intervals.
        seed: random seed of the draws.

    Returns:
        Metric -> ``value``, ``low``, ``high``, ``n`` and, over seeds, ``spread``.
    """
    videos = video_names(index)
    resampling = Resampling.over(videos, draws, seed)
    groups = video_groups(index.column("video"), index.labels, index.column("method"))
    found: dict[str, list[Estimate]] = {}
    for one, other in zip(first.scores, second.scores, strict=True):
        for name, estimate in auc_difference(one, other, index.labels, groups, resampling).items():
            found.setdefault(name, []).append(estimate)
    for name in (name for name in first.maps if name in second.maps):
        for one, other in zip(first.maps[name], second.maps[name], strict=True):
            found.setdefault(name, []).append(_difference_of_means(one, other, resampling))
    return {
        name: join_values([estimate.to_json() for estimate in estimates], least=-1.0)
        for name, estimates in found.items()
    }


def _difference_of_means(first: np.ndarray, second: np.ndarray, resampling: Resampling) -> Estimate:
    """Return the difference of two means over faces, float (N,) each, NaN where undefined."""
    rows = np.flatnonzero(~np.isnan(first) & ~np.isnan(second))
    if not len(rows):
        return Estimate(None, None, None, 0, "no face has both values")
    own = resampling.take(rows)
    one, other = (weighted_mean(values[rows], own.units) for values in (first, second))
    videos = effective(own.units, np.ones(len(rows), dtype=bool))
    return paired_difference(one, other, own, videos, len(rows))
