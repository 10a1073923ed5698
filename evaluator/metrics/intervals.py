"""Bootstrap intervals over videos: faces of one video are drawn together or not at all.

A draw takes as many videos as there are, with replacement, and is held as the number of times that
each was taken. What a metric needs of a face is summed per video once; a thousand draws are then
one matrix product. Metrics over the same videos are judged on the same draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluator.metrics.ranking import divide

LOW, HIGH = 2.5, 97.5
_BLOCK = 8_000_000
_FACES = 8192  # summed at once


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval over videos.

    ``value`` is None where the metric is not defined, and ``reason`` then says why; ``low`` and
    ``high`` are None too where there are fewer than two videos, or where the metric is defined in
    less than half of the draws. ``n`` counts what entered: faces, or videos for ``video_*``.
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


class Term(NamedTuple):
    """A metric that depends on sums over faces alone: ``statistic(contributions summed)``."""

    name: str
    contributions: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> (n, k): what these faces add
    statistic: Callable[[np.ndarray], np.ndarray]  # (draws, k) -> (draws,), NaN if not defined
    n: int
    reason: str  # why there is no value, should there be none


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, 2.5th and 97.5th percentile of a statistic of weighted units.

    Args:
        statistic: weights float64 (draws, units) -> float64 (draws, ...), NaN where not defined.
        units: how many units (videos) there are.
        draws: bootstrap draws.
        seed: seed of the draws.
        width: numbers that ``statistic`` holds per draw, if more than ``units``.

    Returns:
        Three float64 arrays of the statistic's trailing shape. The percentiles are over the draws
        in which it is defined, and NaN where these are fewer than half or there is one unit only.
    """
    value = statistic(np.ones((1, units)))[0]
    missing = np.full(value.shape, np.nan)
    if units < 2 or draws < 1:
        return value, missing, missing
    drawn = np.concatenate([statistic(w) for w in resample(units, draws, seed, width)])
    known = (~np.isnan(drawn)).sum(axis=0) >= (draws + 1) // 2
    # A column without a value would only make nanpercentile warn.
    low, high = np.nanpercentile(np.where(known, drawn, 0.0), [LOW, HIGH], axis=0)
    return value, np.where(known, low, np.nan), np.where(known, high, np.nan)


def estimate(terms: Sequence[Term], resampling: Resampling) -> dict[str, Estimate]:
    """Estimate metrics that are functions of sums over faces, all on the same draws."""
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

    found = bootstrap(
        statistic, resampling.count, resampling.draws, resampling.seed, width=2 * videos.shape[1]
    )
    rows = zip(terms, zip(*found, strict=True), strict=True)
    return {term.name: stated(values, term.n, term.reason) for term, values in rows}


def _sum_by_unit(term: Term, units: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return contributions summed over each video, float64 (videos, k), some faces at a time."""
    sums = np.zeros((int(units.max()) + 1, term.contributions(order[:1]).shape[1]))
    for start in range(0, len(order), _FACES):
        rows = order[start : start + _FACES]
        here, first = np.unique(units[rows], return_index=True)
        sums[here] += np.add.reduceat(term.contributions(rows), first, axis=0, dtype=np.float64)
    return sums


def mean(name: str, values: np.ndarray, reason: str) -> Term:
    """Return the term of a mean over faces; NaN marks the faces that do not enter."""
    enters = ~np.isnan(values)
    contributions = np.stack([np.where(enters, values, 0.0), enters], axis=1)
    count, share = int(enters.sum()), lambda sums: divide(sums[:, 0], sums[:, 1])
    return Term(name, contributions.__getitem__, share, count, reason)


def stated(found: tuple[float, float, float], n: int, reason: str = "") -> Estimate:
    """Return (value, low, high) as an estimate; NaN becomes None, with the reason for a value."""
    value, low, high = map(float, found)
    if np.isnan(value):
        return Estimate(None, None, None, n, reason)
    if np.isnan(low):
        return Estimate(value, None, None, n)
    return Estimate(value, low, high, n)
