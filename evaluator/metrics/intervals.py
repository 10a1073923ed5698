"""Bootstrap intervals over videos: faces of one video are drawn together or not at all.

A draw takes as many videos as there are, with replacement, and is held as the number of times that
each was taken. What a metric needs of a face is summed per video once; a thousand draws are then
one matrix product. Metrics over the same videos are judged on the same draws.

The draws give a standard error, not percentiles: percentiles of few videos are too narrow, and
near 1 they shrink to a point. The interval is Wilson's, for a value in [0, 1]: the standard error
says how many independent yes-or-no answers would be as certain, the quantile is Student's for the
number of videos. Near 0 and 1 the standard error rests on few videos, so the number of answers is
pulled towards the number of videos there, most where a metric compares scores or counts answers.
``scripts/benchmarks/measure_coverage.py`` measures how often the truth lies inside.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from evaluator.metrics.ranking import divide
from focus.types import FAKE, REAL

LEVEL = 0.95
FEWEST = 5
"""Videos that an interval needs."""
TOO_FEW = "too few videos for an interval"
ALIKE = "no interval: it does not vary with the videos"
# Answers at which the number of videos counts as much as the standard error.
_PULL, _PULL_COUNTED = 0.05, 0.5
_ZERO = 1e-9  # below this a standard error is rounding
_BLOCK = 8_000_000
_FACES = 8192  # summed at once


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval over videos.

    ``value`` is None where the metric is not defined, and ``reason`` then says why. ``low`` and
    ``high`` are both None where there are too few videos, where the metric is defined in less than
    half of the draws, and where no video changes it; ``reason`` then says that. ``n`` counts the
    faces that entered, or the videos for ``video_*``.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""

    def to_json(self) -> dict[str, float | int | str | None]:
        """Return the object of the contract; ``reason`` only where there is one."""
        values = dataclasses.asdict(self)
        return values if self.reason else {k: v for k, v in values.items() if k != "reason"}


@dataclass(frozen=True)
class Resampling:
    """How the intervals of a set of faces are drawn.

    ``units`` is int64 (N,): the video of every face as a number from 0 on.
    """

    units: np.ndarray
    draws: int = 1000
    seed: int = 0

    @classmethod
    def over(cls, videos: Sequence[str], draws: int = 1000, seed: int = 0) -> Resampling:
        """Draw over the values of the ``video`` column; a face without one is its own video."""
        return cls(number(videos, videos), draws, seed)

    @property
    def count(self) -> int:
        """The number of videos."""
        return int(self.units.max()) + 1 if len(self.units) else 0

    def take(self, rows: np.ndarray) -> Resampling:
        """Return the resampling of some of the faces, over the videos that they come from."""
        units = np.unique(self.units[rows], return_inverse=True)[1]
        return Resampling(units, self.draws, self.seed)


Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights float64 (draws, videos) -> float64 (draws,), NaN where not defined."""


class Term(NamedTuple):
    """A metric that depends on sums over faces alone: ``statistic(contributions summed)``."""

    name: str
    contributions: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> (n, k): what these faces add
    statistic: Callable[[np.ndarray], np.ndarray]  # (draws, k) -> (draws,), NaN if not defined
    enters: np.ndarray  # bool (N,): the faces that it is about
    reason: str  # why there is no value, should there be none
    counted: bool = False  # a share of yes-or-no answers

    @property
    def n(self) -> int:
        """The number of faces that enter."""
        return int(self.enters.sum())


def number(names: Sequence[object], videos: Sequence[str]) -> np.ndarray:
    """Number equal names alike, from 0 on; where ``video`` is empty, every face for itself.

    Returns:
        int64 (N,).
    """
    seen: dict[object, int] = {}
    pairs = enumerate(zip(names, videos, strict=True))
    return np.array(
        [seen.setdefault((name,) if video else row, len(seen)) for row, (name, video) in pairs],
        dtype=np.int64,
    )


def resample(units: int, draws: int, seed: int, width: int = 0) -> Iterator[np.ndarray]:
    """Yield blocks of draws: how often each of ``units`` was taken, float64 (block, units).

    Every row sums to ``units``. The draws depend on the seed and the number of units alone;
    ``width`` (numbers that the caller holds per draw) only sets the size of the blocks.
    """
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(units, width, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        taken = generator.integers(units, size=(rows, units))
        taken += np.arange(rows)[:, None] * units
        counts = np.bincount(taken.ravel(), minlength=rows * units)
        yield counts.reshape(rows, units).astype(np.float64)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    units: int,
    draws: int = 1000,
    seed: int = 0,
    width: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a statistic of weighted units: its value, and its value in every draw.

    Args:
        statistic: weights float64 (draws, units) -> float64 (draws, ...), NaN where not defined.
        units: how many units (videos) there are.
        draws: bootstrap draws.
        seed: seed of the draws.
        width: numbers that ``statistic`` holds per draw, if more than ``units``.

    Returns:
        float64 of the statistic's trailing shape, and float64 (draws, ...); no draws of one unit.
    """
    value = statistic(np.ones((1, units)))[0]
    if units < 2 or draws < 1:
        return value, np.empty((0, *value.shape))
    return value, np.concatenate([statistic(w) for w in resample(units, draws, seed, width)])


def effective(units: np.ndarray, enters: np.ndarray) -> float:
    """Return how many equally large videos weigh as much as the faces that enter.

    ``(sum of faces)^2 / sum of faces^2`` over the videos (Kish): 20 for 20 videos of any equal
    number of faces, little more than 1 where one video has nearly all of them.

    Args:
        units: int (N,), the video of each face.
        enters: bool (N,).
    """
    faces = np.bincount(units[enters]).astype(np.float64)
    return float(faces.sum() ** 2 / (faces**2).sum()) if faces.any() else 0.0


def effective_pairs(units: np.ndarray, labels: np.ndarray) -> float:
    """Return the effective number of videos of a metric that sets fakes against real faces.

    Between the videos of the smaller class, which are all that vary where errors are fakes that
    look real, and those of both: 15 for 10 and 10 videos, below 3 where one side has a single one.
    Not more than there are, where a video (or person) has faces of both classes.
    """
    fakes, reals = (effective(units, labels == label) for label in (FAKE, REAL))
    if not fakes or not reals:
        return 0.0
    every = effective(units, np.ones(len(units), dtype=bool))
    return min(3 * fakes * reals / (fakes + reals), every)


def interval(
    value: float, error: float, videos: float, counted: bool = False
) -> tuple[float, float]:
    """Return the 95 % interval of a value in [0, 1].

    Args:
        value: in [0, 1].
        error: its standard error over videos, above 0 unless the value is 0 or 1.
        videos: effective number of videos, above 1.
        counted: it compares scores or counts yes-or-no answers (AUC, accuracy), not a mean.
    """
    spread = value * (1 - value)
    answers = spread / error**2 if error > _ZERO and spread > 0 else videos
    if answers > videos:
        pull = _PULL_COUNTED if counted else _PULL
        answers *= (videos / answers) ** (pull / (pull + videos * spread))
    squared = float(student.ppf((1 + LEVEL) / 2, videos - 1)) ** 2 / answers
    centre = (value + squared / 2) / (1 + squared)
    reach = math.sqrt(squared * (spread + squared / 4)) / (1 + squared)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def estimate(terms: Sequence[Term], resampling: Resampling) -> dict[str, Estimate]:
    """Estimate metrics that depend on sums over the same N faces."""
    if not terms or resampling.count == 0:
        return {term.name: Estimate(None, None, None, term.n, term.reason) for term in terms}
    order = np.argsort(resampling.units, kind="stable")
    sums = [_sum_by_unit(term, resampling.units, order) for term in terms]
    ends = np.cumsum([part.shape[1] for part in sums])
    videos = np.concatenate(sums, axis=1)

    def statistic(weights: np.ndarray) -> np.ndarray:
        parts = np.split(weights @ videos, ends[:-1], axis=1)
        values = [term.statistic(part) for term, part in zip(terms, parts, strict=True)]
        return np.stack(values, axis=1)

    values, drawn = bootstrap(
        statistic, resampling.count, resampling.draws, resampling.seed, width=2 * videos.shape[1]
    )
    return {
        term.name: stated(
            value,
            column,
            effective(resampling.units, term.enters),
            term.n,
            reason=term.reason,
            counted=term.counted,
        )
        for term, value, column in zip(terms, values, drawn.T, strict=True)
    }


def _sum_by_unit(term: Term, units: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return contributions summed over each video, float64 (videos, k), some faces at a time."""
    sums = np.zeros((int(units.max()) + 1, term.contributions(order[:1]).shape[1]))
    for start in range(0, len(order), _FACES):
        rows = order[start : start + _FACES]
        here, first = np.unique(units[rows], return_index=True)
        sums[here] += np.add.reduceat(term.contributions(rows), first, axis=0, dtype=np.float64)
    return sums


def mean(name: str, values: np.ndarray, reason: str, counted: bool = False) -> Term:
    """Return the term of a mean over faces; NaN marks the faces that do not enter."""
    enters = ~np.isnan(values)
    contributions = np.stack([np.where(enters, values, 0.0), enters], axis=1)
    return Term(name, contributions.__getitem__, _share, enters, reason, counted)


def _share(sums: np.ndarray) -> np.ndarray:
    return divide(sums[:, 0], sums[:, 1])


def stated(
    value: float,
    drawn: np.ndarray,
    videos: float,
    n: int,
    reason: str = "",
    counted: bool = False,
) -> Estimate:
    """Return a value with the interval that its draws give.

    Args:
        value: NaN where the metric is not defined.
        drawn: float64 (draws,), its value in every draw; NaN where it is not defined.
        videos: effective number of videos.
        n: what entered.
        reason: why there is no value, should there be none.
        counted: see :func:`interval`.
    """
    value = float(value)
    if math.isnan(value):
        return Estimate(None, None, None, n, reason)
    if len(drawn) == 0 and videos >= FEWEST:  # no draws were asked for
        return Estimate(value, None, None, n)
    known = drawn[~np.isnan(drawn)]
    if videos < FEWEST or 2 * len(known) < max(len(drawn), 2):
        return Estimate(value, None, None, n, TOO_FEW)
    error = float(known.std()) * math.sqrt(videos / (videos - 1))
    if error <= _ZERO and _ZERO < value < 1 - _ZERO:
        return Estimate(value, None, None, n, ALIKE)
    return Estimate(value, *interval(min(max(value, 0.0), 1.0), error, videos, counted), n)


def paired_difference(
    first: Statistic,
    second: Statistic,
    resampling: Resampling,
    videos: float,
    n: int,
    counted: bool = False,
) -> Estimate:
    """Return the difference of two systems on the same faces, first minus second.

    Both are drawn together, so that a hard video counts for both. The interval joins those of the
    two systems by the correlation of their draws (MOVER), and so it is never empty where both are
    near 1. A difference is beyond doubt where the interval leaves out 0.

    Args:
        first: weights float64 (draws, videos) -> float64 (draws,), in [0, 1] or NaN, such as
            :func:`weighted_mean` returns.
        second: the same of the other system.
        resampling: how the interval is drawn.
        videos: effective number of videos, from :func:`effective` or :func:`effective_pairs`.
        n: what entered.
        counted: see :func:`interval`.

    Returns:
        The estimate, in [-1, 1].
    """

    def both(weights: np.ndarray) -> np.ndarray:
        return np.stack([first(weights), second(weights)], axis=1)

    values, drawn = bootstrap(
        both, resampling.count, resampling.draws, resampling.seed, width=8 * n
    )
    if np.isnan(values).any():
        return Estimate(None, None, None, n, "one of the two has no value")
    value = float(values[0] - values[1])
    known = drawn[~np.isnan(drawn).any(axis=1)]
    if (
        len(known)
        and known.std(axis=0).max() > _ZERO
        and np.ptp(known[:, 0] - known[:, 1]) <= _ZERO
    ):
        return Estimate(value, None, None, n, ALIKE)
    one, other = (
        stated(single, column, videos, n, counted=counted)
        for single, column in zip(values, drawn.T, strict=True)
    )
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate(value, None, None, n, one.reason or other.reason)
    varies = (known.std(axis=0) > _ZERO).all()
    shared = float(np.corrcoef(known.T)[0, 1]) if varies else 0.0
    below = _join(values[0] - one.low, other.high - values[1], shared)
    above = _join(one.high - values[0], values[1] - other.low, shared)
    return Estimate(value, max(value - below, -1.0), min(value + above, 1.0), n)


def _join(first: float, second: float, shared: float) -> float:
    """Return how far away the end of a difference is: first and second are those of its parts."""
    return math.sqrt(max(first**2 + second**2 - 2 * shared * first * second, 0.0))


def weighted_mean(values: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the mean of values (N,) as a function of the weights of their videos, units (N,).

    NaN does not enter.
    """
    enters = ~np.isnan(values)
    sums, counts = (
        np.bincount(units, weights=of) for of in (np.where(enters, values, 0.0), enters)
    )
    return lambda weights: divide(weights @ sums, weights @ counts)
