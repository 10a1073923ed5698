from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from evaluator.metrics.intervals import (
    ALIKE,
    TOO_FEW,
    Estimate,
    Resampling,
    Term,
    effective_pairs,
    estimate,
    interval,
    mean,
    number,
    paired_difference,
    resample,
    stated,
    weighted_mean,
)
from focus.ranking import divide
from scripts.benchmarks.measure_coverage import simulate


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
    term = Term("ratio", table.__getitem__, ratio, np.ones(60, dtype=bool), "")
    found = estimate([term, mean("first", table[:, 0], "")], Resampling(units, 200, 5))

    slow: list[float] = []
    slow_mean: list[float] = []
    for counts in np.concatenate(list(resample(12, 200, seed=5))).astype(int):
        faces = np.concatenate(
            [np.flatnonzero(units == unit) for unit in np.repeat(range(12), counts)]
        )
        slow.append(table[faces, 0].sum() / table[faces, 1].sum())
        slow_mean.append(table[faces, 0].mean())
    faces = np.bincount(units)
    videos = faces.sum() ** 2 / (faces**2).sum()
    for name, values in (("ratio", slow), ("first", slow_mean)):
        error = np.std(values) * np.sqrt(videos / (videos - 1))
        expected = interval(found[name].value, error, videos)
        assert (found[name].low, found[name].high) == pytest.approx(expected, abs=1e-12)
    assert found["ratio"].value == pytest.approx(table[:, 0].sum() / table[:, 1].sum())


def test_interval_of_few_videos_is_students_of_the_classical_standard_error():
    values = np.array([0.45, 0.5, 0.55, 0.6, 0.4])
    found = estimate([mean("m", values, "")], Resampling(np.arange(5), 20_000))["m"]
    reach = student.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.06)


def test_an_interval_at_the_end_of_the_range_is_wilsons_of_the_number_of_videos():
    values = np.ones(20)
    found = estimate([mean("m", values, "", counted=True)], Resampling(np.arange(20)))["m"]
    squared = student.ppf(0.975, 19) ** 2
    assert (found.low, found.high) == pytest.approx((20 / (20 + squared), 1.0))
    zeros = estimate([mean("m", 1 - values, "")], Resampling(np.arange(20)))["m"]
    assert (zeros.low, zeros.high) == pytest.approx((0.0, squared / (20 + squared)))


def test_faces_of_one_video_do_not_narrow_the_interval():
    videos = np.random.default_rng(2).random(size=20)
    once = estimate([mean("m", videos, "")], Resampling(np.arange(20)))["m"]
    thrice = estimate([mean("m", np.tile(videos, 3), "")], Resampling(np.tile(np.arange(20), 3)))[
        "m"
    ]
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert (once.n, thrice.n) == (20, 60)


def test_one_large_video_counts_as_little_more_than_one():
    units = np.r_[np.zeros(300, dtype=int), np.arange(1, 10)]
    values = np.random.default_rng(3).random(309)
    found = estimate([mean("m", values, "")], Resampling(units))["m"]
    assert (found.low, found.high, found.reason) == (None, None, TOO_FEW)


def test_effective_videos_of_two_classes_are_those_of_the_smaller_one():
    units = np.arange(20)
    assert effective_pairs(units, np.arange(20) % 2) == 15
    assert effective_pairs(units, (units == 0).astype(int)) == pytest.approx(2.85)
    assert effective_pairs(units // 2, np.arange(20) % 2) == 10  # both classes of ten persons
    assert effective_pairs(units, np.ones(20, dtype=int)) == 0


def test_a_value_without_an_interval_and_an_interval_without_a_value():
    single = estimate([mean("m", np.array([0.25, 0.75]), "")], Resampling(np.zeros(2, int)))["m"]
    assert single.to_json() == {
        "value": 0.5,
        "low": None,
        "high": None,
        "n": 2,
        "reason": "too few videos for an interval",
    }
    nothing = estimate([mean("m", np.array([np.nan, np.nan]), "none")], Resampling(np.arange(2)))[
        "m"
    ]
    assert nothing.to_json() == {"value": None, "low": None, "high": None, "n": 0, "reason": "none"}
    empty = estimate([mean("m", np.empty(0), "none")], Resampling.over([]))["m"]
    assert empty == Estimate(None, None, None, 0, "none")
    constant = estimate([mean("m", np.full(9, 0.5), "")], Resampling(np.arange(9)))["m"]
    assert (constant.value, constant.low, constant.reason) == (0.5, None, ALIKE)
    unasked = estimate([mean("m", np.linspace(0, 1, 9), "")], Resampling(np.arange(9), 0))["m"]
    assert (unasked.low, unasked.reason) == (None, "")


def test_undefined_draws_are_left_out_and_too_many_of_them_leave_no_interval():
    drawn = np.r_[0.4, 0.6, 0.5, np.full(3, np.nan)]
    half = stated(0.5, drawn, 10, 10)
    assert (half.low, half.high) == pytest.approx(
        interval(0.5, np.std(drawn[:3]) * np.sqrt(10 / 9), 10)
    )
    rarely = stated(0.5, np.r_[drawn, np.nan], 10, 10)
    assert (rarely.value, rarely.low, rarely.reason) == (0.5, None, TOO_FEW)


def test_paired_difference_is_narrower_than_two_intervals_and_never_empty():
    generator = np.random.default_rng(4)
    hard = generator.random(30) * 0.6
    first, second = (np.clip(hard + generator.normal(0.2, 0.02, 30), 0, 1) for _ in range(2))
    resampling = Resampling(np.arange(30))
    one, other = (weighted_mean(values, np.arange(30)) for values in (first, second))
    found = paired_difference(one, other, resampling, 30, 30)
    alone = estimate([mean("m", first, "")], resampling)["m"]
    assert found.value == pytest.approx((first - second).mean())
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.4 * (alone.high - alone.low)
    perfect = weighted_mean(np.ones(30), np.arange(30))
    equal = paired_difference(perfect, perfect, resampling, 30, 30)
    assert equal.low < 0 < equal.high
    same = paired_difference(one, one, resampling, 30, 30)
    assert (same.value, same.low, same.reason) == (0, None, ALIKE)
    few = paired_difference(one, other, resampling, 4, 30)
    assert (few.low, few.reason) == (None, TOO_FEW)


@pytest.mark.parametrize(
    ("kind", "area", "videos"),
    [("even", 0.98, 20), ("missed", 0.98, 20), ("even", 0.72, 20), ("maps", 0.95, 5)],
)
def test_intervals_hold_the_truth_as_often_as_they_say(kind, area, videos):
    seen = simulate(kind, area, videos, worlds=150, draws=100)
    for name, tally in seen.items():
        assert len(tally.hits) > 0.9 * tally.worlds, name
        assert tally.coverage >= 0.91, name  # 0.95 less two standard errors of 150 worlds
        assert min(tally.widths) > 0, name


@pytest.mark.parametrize("kind", ["two, even", "two, missed"])
def test_differences_hold_the_truth_as_often_as_they_say(kind):
    for name, tally in simulate(kind, 0.72, 50, worlds=150, draws=100).items():
        assert tally.coverage >= 0.91, name
        assert np.mean(tally.widths) < 0.3, name


def test_estimate_is_written_as_the_contract_says():
    assert Estimate(0.5, 0.4, 0.6, 9).to_json() == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
