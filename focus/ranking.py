"""Area under the ROC curve of scores, from the counts of each class at each level of the score."""

from __future__ import annotations

import numpy as np

from focus.types import FAKE, REAL


def score_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve of scores; NaN where a class is absent.

    Args:
        labels: int (N,), 0 real or 1 fake.
        scores: float (N,), P(fake), without NaN.

    Example:
        >>> score_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    return float(auc(*count_levels(labels, scores)))


def count_levels(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of fake and of real faces at each distinct score, ascending, int64 (K,).

    Takes the arguments of :func:`score_auc`; faces with another label are ignored.
    """
    levels, places = np.unique(scores, return_inverse=True)
    fakes, reals = (
        np.bincount(places[labels == label], minlength=len(levels)) for label in (FAKE, REAL)
    )
    return fakes, reals


def auc(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve (Mann-Whitney; ties count one half).

    Counts may be weights. Any number of leading axes is allowed (one row per face or per bootstrap
    draw).

    Args:
        positives: (..., K) counts of positives at each level, ascending.
        negatives: (..., K) counts of negatives at each level.

    Returns:
        float64 (...), in [0, 1]; NaN where a class is absent.
    """
    positives = positives.astype(np.float64)
    negatives = negatives.astype(np.float64)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return divide((positives * below).sum(axis=-1), pairs)


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide element by element; NaN (undefined) where the denominator is zero."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
