"""Detection metrics: separation of fake from real faces, and videos, by their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evaluator.metrics import DETECTION
from evaluator.metrics.intervals import (
    Estimate,
    Resampling,
    Statistic,
    bootstrap,
    effective_pairs,
    estimate,
    mean,
    number,
    paired_difference,
    stated,
)
from evaluator.metrics.ranking import average_precision, equal_error_rate
from focus.ranking import auc
from focus.types import FAKE, REAL

FRAME_CURVES = ("frame_auc", "frame_eer", "frame_ap")


def image_metrics(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
) -> dict[str, Estimate]:
    """Evaluate scores per frame, and per video by the mean score of its frames.

    A score strictly above 0.5 means fake. Faces of unknown label and NaN scores are ignored.
    ``n`` is the number of faces for ``frame_*``, of videos for ``video_*``.

    Args:
        scores: float (N,) in [0, 1], P(fake); NaN where the model gave none.
        labels: int (N,), 0 real, 1 fake, -1 unknown.
        groups: int (N,), the video number of each face, from :func:`video_groups`.
        resampling: bootstrap settings, over the N faces.

    Returns:
        frame_auc, frame_acc, frame_eer, frame_ap, video_auc, video_acc. If a class is absent, the
        value is None and ``reason`` is set.
    """
    rows = np.flatnonzero(((labels == REAL) | (labels == FAKE)) & ~np.isnan(scores))
    scores, labels = scores[rows].astype(np.float64), labels[rows]
    resampling = resampling.take(rows)
    first, video_scores = video_means(scores, groups[rows])
    videos = Resampling(resampling.units[first], resampling.draws, resampling.seed)
    found = {
        **_curves(FRAME_CURVES, scores, labels, resampling),
        **_accuracy("frame_acc", scores, labels, resampling),
        **_curves(("video_auc",), video_scores, labels[first], videos),
        **_accuracy("video_acc", video_scores, labels[first], videos),
    }
    return {name: found[name] for name in DETECTION}


def video_means(scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first face of every video, int64 (V,), and its mean score, float64 (V,)."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    faces = np.bincount(inverse)
    return first, np.bincount(inverse, weights=scores) / np.maximum(faces, 1)


def auc_difference(
    first: np.ndarray,
    second: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    resampling: Resampling,
) -> dict[str, Estimate]:
    """Return the differences of frame AUC and video AUC between two systems.

    Args:
        first: float (N,) in [0, 1], P(fake) of the first system; NaN where it gave none.
        second: the same of the second system. Faces that lack either score are ignored.
        labels: int (N,), 0 real, 1 fake, -1 unknown.
        groups: int (N,), from :func:`video_groups`.
        resampling: bootstrap settings, over the N faces.

    Returns:
        frame_auc and video_auc, each first minus second.
    """
    scored = ~np.isnan(first) & ~np.isnan(second)
    rows = np.flatnonzero(((labels == REAL) | (labels == FAKE)) & scored)
    labels, groups, faces = labels[rows], groups[rows], resampling.take(rows)
    both = [scores[rows].astype(np.float64) for scores in (first, second)]
    starts = video_means(both[0], groups)[0]
    videos = Resampling(faces.units[starts], faces.draws, faces.seed)
    means = [video_means(scores, groups)[1] for scores in both]
    return {
        "frame_auc": _auc_difference(both, labels, faces),
        "video_auc": _auc_difference(means, labels[starts], videos),
    }


def _auc_difference(
    both: Sequence[np.ndarray], labels: np.ndarray, resampling: Resampling
) -> Estimate:
    reason = _absent(labels)
    if reason:
        return Estimate(None, None, None, len(labels), reason)
    one, other = (weighted_auc(scores, labels, resampling.units) for scores in both)
    pairs = effective_pairs(resampling.units, labels)
    return paired_difference(one, other, resampling, pairs, len(labels), counted=True)


def video_groups(
    videos: Sequence[str], labels: np.ndarray, methods: Sequence[str] | None = None
) -> np.ndarray:
    """Number the videos of faces; faces with equal ``video``, label and method share a number.

    So equal video names under two methods, or under both labels, are different videos. Each face
    with an empty ``video`` is a separate video.

    Returns:
        int64 (N,).
    """
    methods = methods if methods is not None else [""] * len(videos)
    names = list(zip(videos, labels.tolist(), methods, strict=True))
    return number(names, videos)


def _accuracy(
    name: str, scores: np.ndarray, labels: np.ndarray, resampling: Resampling
) -> dict[str, Estimate]:
    right = ((scores > 0.5) == (labels == FAKE)).astype(np.float64)
    return estimate([mean(name, right, _absent(labels), counted=True)], resampling)


def _curves(
    names: Sequence[str], scores: np.ndarray, labels: np.ndarray, resampling: Resampling
) -> dict[str, Estimate]:
    """Return AUC, EER and AP, the first ``len(names)`` of them, with intervals over videos."""
    reason = _absent(labels)
    if reason:
        return {name: Estimate(None, None, None, len(labels), reason) for name in names}
    functions = (auc, equal_error_rate, average_precision)[: len(names)]
    count = rank(scores, labels, resampling.units)

    def statistic(weights: np.ndarray) -> np.ndarray:
        counts = count(weights)
        return np.stack([function(*counts) for function in functions], axis=1)

    values, drawn = bootstrap(
        statistic, resampling.count, resampling.draws, resampling.seed, width=8 * len(scores)
    )
    videos = effective_pairs(resampling.units, labels)
    return {
        name: stated(value, column, videos, len(scores), counted=True)
        for name, value, column in zip(names, values, drawn.T, strict=True)
    }


def weighted_auc(scores: np.ndarray, labels: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the AUC as a function of the weights of videos; arguments as for :func:`rank`."""
    count = rank(scores, labels, units)
    return lambda weights: auc(*count(weights))


def rank(
    scores: np.ndarray, labels: np.ndarray, units: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a function of video weights that counts the fake and real faces at each score.

    Args:
        scores: float (N,), without NaN.
        labels: int (N,), 0 real or 1 fake.
        units: int (N,), the video of each face; the weights are (draws, videos).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    fakes, drawn = (labels == FAKE)[order].astype(np.float64), units[order]

    def count(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        faces = weights[:, drawn]
        positives = np.add.reduceat(faces * fakes, starts, axis=1)
        return positives, np.add.reduceat(faces * (1 - fakes), starts, axis=1)

    return count


def _absent(labels: np.ndarray) -> str:
    """Return a message that names the missing class; empty if both classes are present."""
    if len(labels) == 0:
        return "no labelled face has a score"
    missing = "fake" if (labels == REAL).all() else "real" if (labels == FAKE).all() else ""
    return f"no {missing} faces" if missing else ""
