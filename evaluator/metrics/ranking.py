"""Curve metrics from the counts of positives and negatives at each level of a score.

Counts may be weights. Any number of leading axes is allowed (one row per face or per bootstrap
draw). Levels ascend along the last axis.
"""

from __future__ import annotations

import numpy as np

from focus.ranking import divide


def average_precision(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return the average precision: precision at each threshold, weighted by the gain in recall.

    Takes and returns the shapes of :func:`focus.ranking.auc`; NaN where there are no positives.
    """
    gained = _from_the_top(positives)
    true = np.cumsum(gained, axis=-1)
    marked = true + np.cumsum(_from_the_top(negatives), axis=-1)
    precision = np.divide(true, marked, out=np.zeros_like(true), where=marked > 0)
    return divide((gained * precision).sum(axis=-1), true[..., -1])


def equal_error_rate(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return the error rate at the ROC point where misses and false alarms are equally frequent.

    The curve is linear between its points. Takes and returns the shapes of
    :func:`focus.ranking.auc`; NaN where a class is absent.
    """
    true = np.cumsum(_from_the_top(positives), axis=-1)
    false = np.cumsum(_from_the_top(negatives), axis=-1)
    start = np.zeros((*true.shape[:-1], 1))
    alarms = np.concatenate([start, divide(false, false[..., -1:])], axis=-1)
    misses = 1 - np.concatenate([start, divide(true, true[..., -1:])], axis=-1)
    # The gap rises from -1 to 1, so that the crossing lies before its first non-negative point.
    gap = alarms - misses
    after = np.maximum(np.argmax(gap >= 0, axis=-1), 1)[..., None]
    low, high = (np.take_along_axis(gap, place, axis=-1) for place in (after - 1, after))
    first, last = (np.take_along_axis(alarms, place, axis=-1) for place in (after - 1, after))
    return (first + (last - first) * divide(-low, high - low))[..., 0]


def _from_the_top(counts: np.ndarray) -> np.ndarray:
    return counts[..., ::-1].astype(np.float64)
