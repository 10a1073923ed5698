"""Data of the charts: the scores of a test set for every seed, and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from focus.data.index import FaceIndex
from focus.mapstore import MapReader
from focus.ranking import count_levels
from focus.types import FAKE, REAL

GRID = np.linspace(0, 1, 201)
"""Points at which curves are sampled, independent of the number of faces."""
BINS = 15
BARS = 25


@dataclass(frozen=True)
class Scores:
    """Scores of N faces for S seeds."""

    labels: np.ndarray
    """int (N,): 0 real, 1 fake."""
    values: np.ndarray
    """float64 (S, N): P(fake), NaN if missing."""

    @classmethod
    def read(cls, index: FaceIndex, files: Sequence[Path]) -> Scores:
        """Read the map file of every seed."""
        found = []
        for path in files:
            with MapReader(path) as reader:
                known = dict(zip(reader.face_keys, reader.scores.tolist(), strict=True))
            found.append([known.get(key, np.nan) for key in index.keys])
        return cls(index.labels, np.array(found, dtype=np.float64).reshape(len(files), len(index)))

    @property
    def means(self) -> np.ndarray:
        """Means over seeds, float64 (N,); NaN if a seed has no score."""
        return self.values.mean(axis=0)

    @property
    def spreads(self) -> np.ndarray:
        """Standard deviations over seeds, float64 (N,); zero for one seed."""
        return self.values.std(axis=0, ddof=1) if len(self.values) > 1 else 0 * self.means

    def seeds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return labels and scores of every seed, without faces that lack a score or label."""
        known = ~np.isnan(self.values) & (self.labels >= 0)
        return [(self.labels[has], seed[has]) for seed, has in zip(self.values, known, strict=True)]

    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and scores, pooled over all seeds."""
        labels, values = zip(*self.seeds(), strict=True)
        return np.concatenate(labels), np.concatenate(values)

    @property
    def has_both(self) -> bool:
        """Whether every seed scored real faces and fakes."""
        return all({REAL, FAKE} <= set(labels.tolist()) for labels, _ in self.seeds())


class Bin(NamedTuple):
    """Faces with scores in one of ``BINS`` equal bins of [0, 1]."""

    share: float  # of all faces
    score: float  # mean score
    fakes: float  # share of fakes among them


def receiver_curve(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return true positive rates at the false positive rates of ``GRID``, interpolated linearly."""
    found, alarms = _count_above(labels, scores)
    return np.interp(GRID, np.append(0, alarms / alarms[-1]), np.append(0, found / found[-1]))


def precision_curve(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return precisions at the recalls of ``GRID``, at the highest threshold that reaches each."""
    found, alarms = _count_above(labels, scores)
    precision = found / (found + alarms)
    places = np.searchsorted(found / found[-1], GRID - 1e-12)
    return precision[np.minimum(places, len(precision) - 1)]


def _count_above(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of fake and of real faces at or above each score, from the highest."""
    fakes, reals = count_levels(labels, scores)
    return np.cumsum(fakes[::-1]), np.cumsum(reals[::-1])


def operating_point(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return false and true positive rate at a threshold of 0.5."""
    return float((scores[labels == REAL] > 0.5).mean()), float(
        (scores[labels == FAKE] > 0.5).mean()
    )


def reliability(labels: np.ndarray, scores: np.ndarray) -> list[Bin]:
    """Return the non-empty bins, in order."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    found = []
    for place in np.unique(places):
        here = places == place
        fakes = float((labels[here] == FAKE).mean())
        found.append(Bin(float(here.mean()), float(scores[here].mean()), fakes))
    return found


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the ECE: the mean of |mean score - share of fakes| over bins, weighted by faces."""
    return sum(part.share * abs(part.score - part.fakes) for part in reliability(labels, scores))


def histogram(scores: np.ndarray) -> np.ndarray:
    """Return the share of scores in each of ``BARS`` equal bins of [0, 1], float64 (BARS,)."""
    counts, _ = np.histogram(scores, BARS, (0, 1))
    return counts / max(len(scores), 1)
