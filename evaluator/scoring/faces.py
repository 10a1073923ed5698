"""The evaluated faces with their measurements; metrics of all or a subset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.metrics import METRICS, PRIOR
from evaluator.metrics.counting import HALF
from evaluator.metrics.image import image_metrics, video_groups
from evaluator.metrics.intervals import Estimate, Resampling
from evaluator.metrics.localization import localization_metrics, prior_metrics
from evaluator.scoring.measure import Measured
from focus.data.index import FaceIndex
from focus.errors import InputError, count_of
from focus.types import REAL

MOST_GROUPS = 100


@dataclass(frozen=True)
class EvaluatedFaces:
    """N faces, their scores, and the comparison of their maps with ground truth."""

    index: FaceIndex
    """The N faces."""
    scores: np.ndarray
    """float (N,): P(fake), NaN if missing."""
    measured: Measured | None
    """Faces with known truth; None if no fake has a mask."""
    level: int | None = HALF
    """Pixels at or above this level are marked; None omits metrics that need a threshold."""
    zeroed: bool = False
    """Whether maps of real faces were zeroed by label."""
    draws: int = 1000
    """Bootstrap draws."""
    seed: int = 0
    """Seed of the draws."""

    def groups(self, column: str) -> dict[str, np.ndarray]:
        """Return value -> bool (N,) of a column; real faces without a value are in every group.

        Raises:
            InputError: no such column, or more than 100 values.
        """
        if column not in self.index.columns:
            there = ", ".join(self.index.columns)
            raise InputError(f"--by {column}: the index has no such column (it has: {there})")
        values = np.array(self.index.column(column), dtype=object)
        names = sorted(set(values.tolist()) - {""})
        if len(names) > MOST_GROUPS:
            raise InputError(
                f"--by {column}: {count_of(len(names), 'value')}, more than {MOST_GROUPS}"
            )
        shared = (values == "") & (self.index.labels == REAL)
        return {name: (values == name) | shared for name in names}

    def metrics(self, members: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
        """Return every metric over ``members``, bool (N,), or all faces, in the order of METRICS.

        The fakes among the members must be all fakes of some groups of ``measured``. Without masks,
        only metrics of scores.
        """
        members = np.ones(len(self.index), dtype=bool) if members is None else members
        rows = np.flatnonzero(members)
        labels = self.index.labels
        methods, videos = self.index.column("method"), self.index.column("video")
        groups = video_groups(videos, labels, methods)
        found = image_metrics(self.scores[rows], labels[rows], groups[rows], self._resample(rows))
        if self.measured is not None:
            found.update(self._localization(members, self.measured))
        return {name: found[name].to_json() for name in METRICS if name in found}

    def _localization(self, members: np.ndarray, measured: Measured) -> dict[str, Estimate]:
        chosen = members[measured.rows]
        rows = measured.rows[chosen]
        labels, videos = self.index.labels[rows], self._resample(rows)
        maps = measured.maps.take(chosen)
        groups = np.unique(measured.groups[chosen]).tolist()
        pxap = measured.pool.average_precision(groups)
        found = localization_metrics(maps, labels, videos, self.level, self.zeroed, pxap)
        known = np.flatnonzero(measured.has_prior[chosen])
        if len(known):
            priors = measured.priors.take(chosen & measured.has_prior)
            pxap = measured.prior_pool.average_precision(groups)
            found.update(prior_metrics(priors, labels[known], videos.take(known), pxap))
        else:
            missing = Estimate(None, None, None, 0, "no fake of another video has a mask")
            found.update(dict.fromkeys(PRIOR, missing))
        return found

    def _resample(self, rows: np.ndarray) -> Resampling:
        videos = self.index.column("video")
        return Resampling.over([videos[row] for row in rows], self.draws, self.seed)
