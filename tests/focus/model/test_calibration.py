from __future__ import annotations

import numpy as np
import pytest

from focus.errors import InputError
from focus.model.calibration import (
    choose_mark,
    choose_thresholds,
    expected_calibration_error,
    fit_calibration,
)
from focus.released.contents import Calibration, logits_of


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def overconfident(count: int = 20_000, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return scores whose true log-odds are theirs / 3 - 0.7, and their labels."""
    rng = np.random.default_rng(0)
    labels = (rng.random(count) < share).astype(int)
    truth = rng.normal(np.where(labels, 1.0, -1.0), np.sqrt(2.0))  # its log-odds are the truth
    return sigmoid(3 * (truth + 0.7)), labels


def test_recovers_temperature_and_bias() -> None:
    scores, labels = overconfident()
    found = fit_calibration(scores, labels)
    assert abs(found.temperature - 3) < 0.15
    assert abs(found.bias + 0.7) < 0.05
    assert found.error is not None
    assert found.error < 0.02 < expected_calibration_error(scores, labels)
    p = found.probability(scores)
    assert np.allclose(p, sigmoid(logits_of(scores) / found.temperature + found.bias))


def test_balance_ignores_the_share_of_fakes() -> None:
    even = fit_calibration(*overconfident())
    rare = fit_calibration(*overconfident(60_000, share=0.1))
    assert abs(even.bias - rare.bias) < 0.1
    plain = fit_calibration(*overconfident(60_000, share=0.1), balanced=False)
    assert abs(plain.bias - rare.bias - np.log(1 / 9)) < 0.1


def test_thresholds_keep_their_promises() -> None:
    scores, labels = overconfident(5000)
    found = fit_calibration(scores, labels, false_alarms=0.02, unsure=0.15)
    p = found.probability(scores)
    real, fake = p[labels == 0], p[labels == 1]
    assert 0.015 < (real >= found.high).mean() <= 0.02
    assert ((real >= found.low) & (real < found.high)).mean() <= 0.15
    assert found.high >= 0.5
    clean = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    low, high = choose_thresholds(*clean, misses=0.0)
    assert (low, high) == (0.5, 0.5)
    assert (fake < found.low).mean() < 0.5


def test_ties_never_break_the_promise() -> None:
    scores = np.array([0.7] * 100 + [0.9] * 100)
    labels = np.array([0] * 100 + [1] * 100)
    _, high = choose_thresholds(scores, labels, false_alarms=0.02)
    assert high > 0.7
    _, high = choose_thresholds(np.ones(200), labels)
    assert high == 1.0  # nothing is above 1: no threshold can keep the promise


def test_extreme_scores_stay_finite() -> None:
    found = fit_calibration(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    assert np.isfinite([found.temperature, found.bias]).all()
    assert np.array_equal(found.probability(np.array([0.0, 1.0])) > 0.5, [False, True])
    assert np.isnan(Calibration().probability(np.array([np.nan])))[0]


def test_mark_bounds_the_marked_area() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((14, 14)).astype(np.float32) for _ in range(50)]
    mark = choose_mark(maps, share=0.01)
    assert 0.005 < np.mean([np.mean(each >= mark) for each in maps]) <= 0.01
    assert choose_mark([np.zeros((4, 4))]) > 0
    with pytest.raises(InputError, match="maps of real faces"):
        choose_mark([])


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([0.1, 0.2], [0, 0], "both must occur"),
        ([0.1, 1.2], [0, 1], r"in \[0, 1\]"),
        ([0.1, np.nan], [0, 1], r"in \[0, 1\]"),
        ([0.1], [0, 1], "one list each"),
        ([0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1], "do not rise"),
        ([0.1, 0.9], [0, 2], "labels must be"),
    ],
)
def test_wrong_input_is_one_line(scores: list, labels: list, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        fit_calibration(np.array(scores), np.array(labels))
