"""Metrics with intervals from the map files of clean and corrupted images.

All values of a metric use the same bootstrap draws of videos, so that means over levels and over
kinds also get an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from evaluator.metrics.image import video_groups, video_means, weighted_auc
from evaluator.metrics.intervals import (
    Estimate,
    Resampling,
    Statistic,
    bootstrap,
    effective,
    effective_pairs,
    stated,
    weighted_mean,
)
from evaluator.perturbations import KINDS, SEVEN
from evaluator.robustness.options import CLEAN, Condition
from evaluator.scoring.measure import masked_fakes, measure_each
from focus.data.index import FaceIndex
from focus.mapstore import MapReader
from focus.ranking import divide
from focus.types import FAKE, REAL, Failure

DETECTION = ("frame_auc", "video_auc")
AGREEMENT = ("map_iou", "map_overlap")
TRUTH = ("pixel_auc", "pixel_auc_region")
_BLOCK = 1024
_REASONS = {
    **dict.fromkeys(AGREEMENT, "no fake has a map above zero"),
    **dict.fromkeys(TRUTH, "no fake has pixels in and out of its mask"),
}


@dataclass(frozen=True)
class Judgement:
    """Robustness results: estimates by metric name."""

    at: Mapping[Condition, Mapping[str, Estimate]]
    """Per condition; clean first, without the agreement metrics."""
    means: Mapping[str, Mapping[str, Estimate]]
    """Mean over the levels of each kind."""
    average: Mapping[str, Estimate]
    """Mean over the kinds in ``averaged``; empty if there are none."""
    averaged: tuple[str, ...]
    """The seven kinds of DeeperForensics; empty unless all are present."""
    failures: tuple[Failure, ...]
    """Fakes whose mask could not be read; pixel metrics ignore them."""


def judge(
    index: FaceIndex,
    readers: Mapping[Condition, MapReader],
    draws: int = 1000,
    seed: int = 0,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> Judgement:
    """Evaluate map files of the same faces under different conditions.

    ``frame_auc`` and ``video_auc`` are those of :mod:`evaluator.metrics.image`, ``pixel_auc`` and
    ``pixel_auc_region`` those of :mod:`evaluator.metrics.localization` (fakes with a mask).
    Agreement of a fake's map with its clean map: ``map_iou``, the IoU of the areas above 0.5, and
    ``map_overlap``, the sum of minima over the sum of maxima; means over fakes, ignoring 0 / 0.

    Args:
        index: faces of known label.
        readers: map files with maps of all these faces, including :data:`CLEAN`.
        draws: bootstrap draws over ``video``.
        seed: random seed of the draws.
        device: device that counts pixels; does not change the result.
        quiet: no progress.
    """
    order = [CLEAN, *(condition for condition in readers if condition != CLEAN)]
    opened = [readers[condition] for condition in order]
    truth, failures = _truth(index, opened, device, quiet)
    values = {
        condition: {**_agreement(index, reader, opened[0]), **found}
        for condition, reader, found in zip(order, opened, truth, strict=True)
    }
    faces = _Faces(index, Resampling.over(index.column("video"), draws, seed))
    at: dict[Condition, dict[str, Estimate]] = {condition: {} for condition in order}
    kinds = list(dict.fromkeys(condition.kind for condition in order[1:]))
    groups = [[c for c in order if c.kind == kind] for kind in kinds]
    averaged = seven_of(kinds)
    means: dict[str, dict[str, Estimate]] = {kind: {} for kind in kinds}
    average: dict[str, Estimate] = {}
    for metric in (*DETECTION, *values[CLEAN]):
        judged = order[1:] if metric in AGREEMENT else order
        parts = [
            faces.detection(metric, _scores(index, readers[condition]))
            if metric in DETECTION
            else faces.mean(metric, values[condition][metric])
            for condition in judged
        ]
        members = [[judged.index(condition) for condition in group] for group in groups]
        found = _estimate(parts, members, [kinds.index(kind) for kind in averaged], faces.videos)
        for condition, one in zip(judged, found, strict=False):
            at[condition][metric] = one
        for kind, one in zip(kinds, found[len(judged) :], strict=False):
            means[kind][metric] = one
        if averaged:
            average[metric] = found[-1]
    return Judgement(at, means, average, averaged, tuple(dict.fromkeys(failures)))


def seven_of(kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the seven kinds to average; empty unless ``kinds`` contains all of them.

    ``block-crop`` takes the place of a missing ``block``.
    """
    crop = "block" not in kinds
    wanted = tuple("block-crop" if crop and kind == "block" else kind for kind in SEVEN)
    return wanted if set(wanted) <= set(kinds) else ()


class _Part(NamedTuple):
    """A metric under one condition, as a function of the weights of videos."""

    statistic: Statistic
    videos: float  # effective number
    n: int
    reason: str  # the reason to report if there is no value
    counted: bool = False
    width: int = 0  # numbers stored per draw


class _Faces:
    """The faces, and the videos over which they are resampled."""

    def __init__(self, index: FaceIndex, videos: Resampling) -> None:
        self.labels, self.videos = index.labels, videos
        self._groups = video_groups(index.column("video"), self.labels, index.column("method"))

    def detection(self, metric: str, scores: np.ndarray) -> _Part:
        """Return the AUC of scores (N,) of faces, or of their means over videos."""
        labels, units = self.labels, self.videos.units
        if metric == "video_auc":
            first, scores = video_means(scores, self._groups)
            labels, units = labels[first], units[first]
        absent = [name for name, label in (("real", REAL), ("fake", FAKE)) if label not in labels]
        reason = f"no {absent[0]} faces" if absent else ""
        if np.isnan(scores).any():
            return _Part(lambda weights: np.full(len(weights), np.nan), 0, 0, "there are no scores")
        statistic, pairs = weighted_auc(scores, labels, units), effective_pairs(units, labels)
        return _Part(statistic, pairs, len(scores), reason, True, 8 * len(scores))

    def mean(self, metric: str, values: np.ndarray) -> _Part:
        """Return the mean of values (N,), ignoring NaN."""
        units, enters = self.videos.units, ~np.isnan(values)
        videos = effective(units, enters)
        return _Part(weighted_mean(values, units), videos, int(enters.sum()), _REASONS[metric])


def _estimate(
    parts: Sequence[_Part],
    groups: Sequence[Sequence[int]],
    averaged: Sequence[int],
    videos: Resampling,
) -> list[Estimate]:
    """Estimate every part, the mean of each group of parts, and the mean over ``averaged``."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        single = np.stack([part.statistic(weights) for part in parts], axis=1)
        means = [single[:, group].mean(axis=1) for group in groups]
        average = [np.mean([means[place] for place in averaged], axis=0)] if averaged else []
        return np.concatenate([single, *(value[:, None] for value in (*means, *average))], axis=1)

    width = max(part.width for part in parts)
    values, drawn = bootstrap(statistic, videos.count, videos.draws, videos.seed, width)
    members = [*([place] for place in range(len(parts))), *groups]
    members += [[place for group in averaged for place in groups[group]]] if averaged else []
    return [
        _state(value, column, [parts[place] for place in group])
        for value, column, group in zip(values, drawn.T, members, strict=True)
    ]


def _state(value: float, drawn: np.ndarray, parts: Sequence[_Part]) -> Estimate:
    """Return the estimate of a mean of parts, with the smallest of their numbers of videos."""
    videos, n = min(part.videos for part in parts), min(part.n for part in parts)
    return stated(value, drawn, videos, n, parts[0].reason, parts[0].counted)


def _scores(index: FaceIndex, reader: MapReader) -> np.ndarray:
    """Return P(fake) of every face, float64 (N,)."""
    return reader.scores[[reader.row(key) for key in index.keys]].astype(np.float64)


def _agreement(index: FaceIndex, reader: MapReader, clean: MapReader) -> dict[str, np.ndarray]:
    """Compare maps with the clean maps: values (N,), NaN for real faces and empty maps."""
    iou, overlap = np.full((2, len(index)), np.nan)
    fakes = np.flatnonzero(index.labels == FAKE)
    for start in range(0, len(fakes), _BLOCK):
        rows = fakes[start : start + _BLOCK]
        now, before = (
            maps.read([maps.row(index.keys[row]) for row in rows]) for maps in (reader, clean)
        )
        iou[rows] = _ratio((now > 0.5) & (before > 0.5), (now > 0.5) | (before > 0.5))
        overlap[rows] = _ratio(np.minimum(now, before), np.maximum(now, before))
    return {"map_iou": iou, "map_overlap": overlap}


def _ratio(common: np.ndarray, joint: np.ndarray) -> np.ndarray:
    return divide(*(part.sum(axis=(1, 2), dtype=np.float64) for part in (common, joint)))


def _truth(
    index: FaceIndex, readers: Sequence[MapReader], device: torch.device | str, quiet: bool
) -> tuple[list[dict[str, np.ndarray]], list[Failure]]:
    """Compare maps with truth masks, reading each mask once for all readers.

    Returns:
        For every reader, values (N,) by metric, NaN where undefined; empty if no fake has a mask.
        And the fakes whose mask could not be read.
    """
    rows, failures = masked_fakes(index, np.arange(len(index))), list[Failure]()
    names = TRUTH if "region" in index.columns else TRUTH[:1]
    values = np.full((len(readers), len(names), len(index)), np.nan)
    for start in range(0, len(rows), _BLOCK):  # bounds memory: one set of histograms per reader
        block = rows[start : start + _BLOCK]
        measured = measure_each(index, block, readers, device=device, quiet=quiet)
        failures += measured[0].failures
        for found, areas in zip(measured, values, strict=True):
            pair = found.maps.pixel_auc, found.maps.region_auc
            areas[:, found.rows] = pair[: len(names)]
    known = names if len(rows) else ()
    return [dict(zip(known, areas, strict=False)) for areas in values], failures


def parameter_of(condition: Condition) -> float:
    """Return the strength of a corruption."""
    return KINDS[condition.kind].parameters[condition.level - 1]
