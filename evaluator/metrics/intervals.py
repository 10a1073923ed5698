"""Bootstrap intervals over videos: all faces of one video are resampled together.

A draw samples as many videos as there are, with replacement, stored as the count of each video.
Contributions of faces are summed once per video; a thousand draws are then one matrix product.
Metrics over the same videos use the same draws.

The draws give a standard error, not percentiles: percentiles of few videos are too narrow and
shrink to a point near 1. The interval is Wilson's, for a value in [0, 1]: the standard error is
converted to the number of independent yes-or-no answers with equal uncertainty, and the quantile is
Student's for the number of videos. Near 0 and 1 the standard error rests on few videos, so the
number of answers is pulled towards the number of videos, most for metrics that compare scores or
count answers. ``scripts/benchmarks/measure_coverage.py`` measures the coverage.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from focus.ranking import divide
from focus.types import FAKE, REAL

LEVEL = 0.95
FEWEST = 5
"""Minimum number of videos for an interval."""
TOO_FEW = "too few videos for an interval"
ALIKE = "no interval: it does not vary with the videos"
# Number of answers at which the number of videos weighs as much as the standard error.
_PULL, _PULL_COUNTED = 0.05, 0.5
_ZERO = 1e-9  # below this a standard error is rounding
_BLOCK = 8_000_000
_FACES = 8192  # faces summed per step


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval over videos.

    ``value`` is None where the metric is undefined. ``low`` and ``high`` are both None if there
    are too few videos, if the metric is defined in less than half of the draws, or if it does not
    vary with the videos. ``reason`` explains a missing value or interval. ``n`` is the number of
    faces used, of videos for ``video_*``.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str = ""

    def to_json(self) -> dict[str, float | int | str | None]:
        """Return the JSON object of the contract; ``reason`` only if it is not empty."""
        values = dataclasses.asdict(self)
        return values if self.reason else {k: v for k, v in values.items() if k != "reason"}


@dataclass(frozen=True)
class Resampling:
    """Bootstrap settings of a set of faces.

    ``units`` is int64 (N,): the video number of every face, from 0 on.
    """

    units: np.ndarray
    draws: int = 1000
    seed: int = 0

    @classmethod
    def over(cls, videos: Sequence[str], draws: int = 1000, seed: int = 0) -> Resampling:
        """Resample the values of the ``video`` column; a face without one is a separate video."""
        return cls(number(videos, videos), draws, seed)

    @property
    def count(self) -> int:
        """The number of videos."""
        return int(self.units.max()) + 1 if len(self.units) else 0

    def take(self, rows: np.ndarray) -> Resampling:
        """Return the settings of a subset of faces, with their videos renumbered."""
        units = np.unique(self.units[rows], return_inverse=True)[1]
        return Resampling(units, self.draws, self.seed)


Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights float64 (draws, videos) -> float64 (draws,), NaN where undefined."""


class Term(NamedTuple):
    """A metric that is a function of sums over faces: ``statistic(summed contributions)``."""

    name: str
    contributions: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> summands of these faces (n, k)
    statistic: Callable[[np.ndarray], np.ndarray]  # (draws, k) -> (draws,), NaN where undefined
    enters: np.ndarray  # bool (N,): the faces that it uses
    reason: str  # the reason to report if there is no value
    counted: bool = False  # a share of yes-or-no answers
    exact: float | None = None  # the value, where ``statistic`` approximates it

    @property
    def n(self) -> int:
        """The number of faces that enter."""
        return int(self.enters.sum())


def number(names: Sequence[object], videos: Sequence[str]) -> np.ndarray:
    """Number the distinct names from 0 on; each face with an empty ``video`` gets its own number.

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
    """Yield blocks of draws: the count of each unit, float64 (block, units).

    Every row sums to ``units``. The draws depend only on the seed and the number of units;
    ``width`` (numbers that the caller stores per draw) only sets the size of the blocks.
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
    """Return the value of a statistic of weighted units, and its value in every draw.

    Args:
        statistic: weights float64 (draws, units) -> float64 (draws, ...), NaN where undefined.
        units: number of units (videos).
        draws: number of bootstrap draws.
        seed: random seed.
        width: numbers that ``statistic`` stores per draw, if more than ``units``.

    Returns:
        float64 of the statistic's trailing shape, and float64 (draws, ...); (0, ...) for one unit.
    """
    value = statistic(np.ones((1, units)))[0]
    if units < 2 or draws < 1:
        return value, np.empty((0, *value.shape))
    return value, np.concatenate([statistic(w) for w in resample(units, draws, seed, width)])


def effective(units: np.ndarray, enters: np.ndarray) -> float:
    """Return the effective number of videos of the faces that are used.

    ``(sum of faces)^2 / sum of faces^2`` over the videos (Kish): 20 for 20 videos with equal
    numbers of faces, little more than 1 if one video has nearly all faces.

    Args:
        units: int (N,), the video of each face.
        enters: bool (N,).
    """
    faces = np.bincount(units[enters]).astype(np.float64)
    return float(faces.sum() ** 2 / (faces**2).sum()) if faces.any() else 0.0


def effective_pairs(units: np.ndarray, labels: np.ndarray) -> float:
    """Return the effective number of videos of a metric that compares fakes with real faces.

    The result is between the number of videos of the smaller class and that of both classes: 15
    for 10 and 10 videos, below 3 if one class has a single video. It never exceeds the effective
    number of all videos, which matters if one video (or person) has faces of both classes.
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
        counted: the metric compares scores or counts yes-or-no answers (AUC, accuracy) and is not
            a mean of real values.
    """
    spread = value * (1 - value)
    answers = spread / error**2 if error > _ZERO and spread > 0 else videos
    if answers > videos:
        pull = _PULL_COUNTED if counted else _PULL
        answers *= (videos / answers) ** (pull / (pull + videos * spread))
    squared = float(stdtrit(videos - 1, (1 + LEVEL) / 2)) ** 2 / answers
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
            value if term.exact is None else term.exact,
            column,
            effective(resampling.units, term.enters),
            term.n,
            reason=term.reason,
            counted=term.counted,
        )
        for term, value, column in zip(terms, values, drawn.T, strict=True)
    }


def _sum_by_unit(term: Term, units: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the contributions summed per video, float64 (videos, k), in chunks of faces."""
    sums = np.zeros((int(units.max()) + 1, term.contributions(order[:1]).shape[1]))
    for start in range(0, len(order), _FACES):
        rows = order[start : start + _FACES]
        here, first = np.unique(units[rows], return_index=True)
        sums[here] += np.add.reduceat(term.contributions(rows), first, axis=0, dtype=np.float64)
    return sums


def mean(name: str, values: np.ndarray, reason: str, counted: bool = False) -> Term:
    """Return the term of a mean over faces; NaN marks faces to ignore."""
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
    """Return a value with the interval that follows from its bootstrap draws.

    Args:
        value: NaN where the metric is undefined.
        drawn: float64 (draws,), its value in every draw; NaN where it is undefined.
        videos: effective number of videos.
        n: number of faces (or videos) used.
        reason: the reason to report if there is no value.
        counted: see :func:`interval`.
    """
    value = float(value)
    if math.isnan(value):
        return Estimate(None, None, None, n, reason)
    if len(drawn) == 0 and videos >= FEWEST:  # no draws were requested
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

    Both use the same draws, so a hard video counts for both. The interval combines the intervals
    of the two systems by the correlation of their draws (MOVER), so it keeps a width even if both
    are near 1. A difference is significant if the interval excludes 0.

    Args:
        first: weights float64 (draws, videos) -> float64 (draws,), in [0, 1] or NaN, such as
            :func:`weighted_mean` returns.
        second: the same of the other system.
        resampling: bootstrap settings.
        videos: effective number of videos, from :func:`effective` or :func:`effective_pairs`.
        n: number of faces (or videos) used.
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
    """Return the distance from a difference to its bound, from the distances of its two values."""
    return math.sqrt(max(first**2 + second**2 - 2 * shared * first * second, 0.0))


def weighted_mean(values: np.ndarray, units: np.ndarray) -> Statistic:
    """Return the mean of values (N,) as a function of the weights of their videos, units (N,).

    NaN values are ignored.
    """
    enters = ~np.isnan(values)
    sums, counts = (
        np.bincount(units, weights=of) for of in (np.where(enters, values, 0.0), enters)
    )
    return lambda weights: divide(weights @ sums, weights @ counts)
