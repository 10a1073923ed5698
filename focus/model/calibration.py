"""Turn scores on validation faces into probabilities and thresholds. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focus.errors import InputError
from focus.released.contents import Calibration, logits_of
from focus.types import FAKE, REAL

_FLATTEST = 1e-2
_RIDGE = 1e-5
"""Weight of a pull towards temperature 1 and bias 0: keeps separable scores finite."""


def fit_calibration(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    false_alarms: float = 0.02,
    misses: float = 0.05,
    unsure: float = 0.15,
    balanced: bool = True,
    mark: float = 0.5,
) -> Calibration:
    """Fit temperature, bias and thresholds to validation scores.

    Args:
        scores: the network's P(fake), (N,) in [0, 1].
        labels: (N,): 0 real, 1 fake; both occur.
        false_alarms: largest share of real faces that are called manipulated.
        misses: largest share of fakes below the lower threshold ...
        unsure: ... unless more real faces than this share were between the thresholds.
        balanced: give both labels the same weight, so that P is for as many fakes as real faces.
        mark: map value from which a pixel counts as marked; see :func:`choose_mark`.

    Raises:
        InputError: arrays of other shapes or values, or one label only.
    """
    scores, labels = _check(scores, labels)
    weights = _weights(labels, balanced)
    slope, bias = _fit_logistic(logits_of(scores), labels, weights)
    probabilities = Calibration(1 / slope, bias).probability(scores)
    low, high = choose_thresholds(probabilities, labels, false_alarms, misses, unsure)
    error = expected_calibration_error(probabilities, labels, balanced=balanced)
    return Calibration(1 / slope, bias, low, high, mark, error)


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15, balanced: bool = True
) -> float:
    """Return the mean distance of P(fake) from the share of fakes, over equal bins of P.

    Args:
        probabilities: (N,) in [0, 1].
        labels: (N,): 0 real, 1 fake; both occur.
        bins: number of bins of [0, 1].
        balanced: give both labels the same weight.

    Raises:
        InputError: arrays of other shapes or values, or one label only.
    """
    probabilities, labels = _check(probabilities, labels)
    weights = _weights(labels, balanced)
    places = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(places, weights * (probabilities - labels), bins)
    return float(np.abs(gaps).sum() / weights.sum())


def choose_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    false_alarms: float = 0.02,
    misses: float = 0.05,
    unsure: float = 0.15,
) -> tuple[float, float]:
    """Return the thresholds ``low`` and ``high`` on P(fake); see :func:`fit_calibration`.

    ``high`` is at least 0.5.

    Raises:
        InputError: arrays of other shapes or values, or one label only.
    """
    probabilities, labels = _check(probabilities, labels)
    real = np.sort(probabilities[labels == REAL])
    fake = np.sort(probabilities[labels == FAKE])
    allowed = int(false_alarms * len(real))
    high = max(float(np.nextafter(real[-1 - allowed], 2.0)), 0.5)
    high = min(high, 1.0)
    low = float(fake[min(int(misses * len(fake)), len(fake) - 1)])
    above = int((real >= high).sum())
    between = int(unsure * len(real))
    place = len(real) - above - between  # real faces that must be below the lower threshold
    if place > 0:
        low = max(low, float(np.nextafter(real[place - 1], 2.0)))
    return min(low, high), high


def choose_mark(maps: Sequence[np.ndarray], share: float = 0.01) -> float:
    """Return the map value from which at most a share of the pixels of real faces is marked.

    Args:
        maps: maps of real validation faces, float (h, w) in [0, 1].
        share: mean share of marked pixels.

    Raises:
        InputError: no maps.
    """
    if not maps:
        raise InputError("the threshold of a map needs maps of real faces")
    values = np.sort(np.concatenate([np.ravel(each) for each in maps]).astype(np.float64))
    allowed = int(share * len(values))
    return float(np.clip(np.nextafter(np.float32(values[-1 - allowed]), np.float32(2)), 1e-3, 1))


def _fit_logistic(x: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return slope (above 0) and bias of the least weighted log loss."""
    from scipy.optimize import minimize

    design = np.stack([x, np.ones_like(x)], axis=1)
    shares = weights / weights.sum()
    start = np.array([1.0, 0.0])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = design @ parameters
        losses = np.logaddexp(0, logits) - labels * logits
        pull = parameters - start
        gradient = design.T @ (shares * (1 / (1 + np.exp(-logits)) - labels)) + _RIDGE * pull
        return float(shares @ losses + _RIDGE * (pull @ pull) / 2), gradient

    slope, bias = minimize(loss, start, jac=True, method="BFGS").x.tolist()
    if slope <= _FLATTEST:
        raise InputError("scores do not rise from real to fake faces: nothing to calibrate")
    return slope, bias


def _weights(labels: np.ndarray, balanced: bool) -> np.ndarray:
    if not balanced:
        return np.ones(len(labels))
    counts = np.bincount(labels, minlength=2)
    return (len(labels) / (2 * counts))[labels]


def _check(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise InputError(f"scores {scores.shape} and labels {labels.shape} must be one list each")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError("scores must be in [0, 1]")
    if set(np.unique(labels).tolist()) != {REAL, FAKE}:
        raise InputError("labels must be 0 (real) and 1 (fake), and both must occur")
    return scores, labels.astype(np.int64)
