from __future__ import annotations

import numpy as np
import pytest

from evaluator.metrics.intervals import (
    Estimate,
    Resampling,
    Term,
    bootstrap,
    estimate,
    mean,
    number,
    resample,
)
from evaluator.metrics.ranking import divide


def ratio(sums):
    return divide(sums[:, 0], sums[:, 1])


def test_number_keeps_empty_videos_apart():
    assert number(["a", "", "b", "a", ""], ["a", "", "b", "a", ""]).tolist() == [0, 1, 2, 0, 3]


def test_draws_take_as_many_units_as_there_are_and_ignore_the_block_size():
    whole = np.concatenate(list(resample(7, 50, seed=3)))
    blocks = list(resample(7, 50, seed=3, width=1_000_000))
    assert whole.shape == (50, 7)
    assert (whole.sum(axis=1) == 7).all()
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert not np.array_equal(np.concatenate(list(resample(7, 50, seed=4))), whole)


def test_pooled_interval_equals_a_slow_loop_over_the_same_draws():
    generator = np.random.default_rng(0)
    units = generator.integers(0, 12, size=60)
    units[:12] = np.arange(12)
    table = generator.random((60, 2))
    term = Term("ratio", table.__getitem__, ratio, 60, "")
    found = estimate([term, mean("first", table[:, 0], "")], Resampling(units, 200, 5))

    slow: list[float] = []
    slow_mean: list[float] = []
    for counts in np.concatenate(list(resample(12, 200, seed=5))).astype(int):
        faces = np.concatenate(
            [np.flatnonzero(units == unit) for unit in np.repeat(range(12), counts)]
        )
        slow.append(table[faces, 0].sum() / table[faces, 1].sum())
        slow_mean.append(table[faces, 0].mean())
    for name, values in (("ratio", slow), ("first", slow_mean)):
        low, high = np.percentile(values, [2.5, 97.5])
        assert found[name].low == pytest.approx(low, abs=1e-12)
        assert found[name].high == pytest.approx(high, abs=1e-12)
    assert found["ratio"].value == pytest.approx(table[:, 0].sum() / table[:, 1].sum())


def test_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        values = generator.normal(size=40)
        found = estimate([mean("m", values, "")], Resampling(np.arange(40), 200, 0))["m"]
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_faces_of_one_video_do_not_narrow_the_interval():
    videos = np.random.default_rng(2).normal(size=20)
    once = estimate([mean("m", videos, "")], Resampling(np.arange(20)))["m"]
    thrice = estimate([mean("m", np.tile(videos, 3), "")], Resampling(np.tile(np.arange(20), 3)))[
        "m"
    ]
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert (once.n, thrice.n) == (20, 60)


def test_a_value_without_an_interval_and_an_interval_without_a_value():
    single = estimate([mean("m", np.array([0.25, 0.75]), "")], Resampling(np.zeros(2, int)))["m"]
    assert (single.value, single.low, single.high, single.n) == (0.5, None, None, 2)
    nothing = estimate([mean("m", np.array([np.nan, np.nan]), "none")], Resampling(np.arange(2)))[
        "m"
    ]
    assert nothing.to_json() == {"value": None, "low": None, "high": None, "n": 0, "reason": "none"}
    empty = estimate([mean("m", np.empty(0), "none")], Resampling.over([]))["m"]
    assert empty == Estimate(None, None, None, 0, "none")


def test_undefined_draws_are_left_out_and_too_many_of_them_leave_no_interval():
    one_of_ten = np.r_[1.0, np.full(9, np.nan)]
    found = estimate([mean("m", one_of_ten, "")], Resampling(np.arange(10)))["m"]
    assert (found.low, found.high) == (1.0, 1.0)  # drawn in 65 % of the draws

    def rarely(weights):  # in the sample itself, and in 26 % of the draws
        return np.where((weights[:, 0] > 1) | (weights == 1).all(axis=1), 1.0, np.nan)

    value, low, high = bootstrap(rarely, 10)
    assert value == 1.0
    assert np.isnan(low)
    assert np.isnan(high)


def test_estimate_is_written_as_the_contract_says():
    assert Estimate(0.5, 0.4, 0.6, 9).to_json() == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
