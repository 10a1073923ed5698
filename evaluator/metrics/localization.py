"""Localisation metrics of maps against truth masks, from counts of their levels.

Divisions by zero: the per-face IoU of two empty masks is 1; a class without any true or marked
pixel is left out of the mean over classes; any other 0 / 0 gives no value, and a reason.
"""

from __future__ import annotations

import numpy as np

from evaluator.metrics import THRESHOLDED
from evaluator.metrics.counting import HALF, LEVELS, Histograms
from evaluator.metrics.intervals import Estimate, Resampling, Term, estimate, mean
from evaluator.metrics.ranking import average_precision
from focus.ranking import divide
from focus.types import FAKE, REAL

OVER_REALS = ("pixel_f1_macro", "pixel_miou", "fp_area_real")
ZEROED = "real maps were zeroed by label"
_FACES = 4096  # faces per step; intermediate results take 10 kB per face


def localization_metrics(
    faces: Histograms,
    labels: np.ndarray,
    resampling: Resampling,
    level: int | None = HALF,
    zeroed: bool = False,
    pxap: float | None = None,
) -> dict[str, Estimate]:
    """Evaluate maps against masks. ``n`` is the number of faces used.

    One confusion matrix over all faces: pixel_f1_macro, pixel_miou (means of both classes). One
    matrix over fakes: f1_fake, iou_fake. Pooled pixels of fakes: pxap. Means over fakes: iou_frame
    (1 where mask and marked area are both empty); pixel_auc (mask neither empty nor full); and, for
    non-empty masks, pointing (share of the map's highest pixels that are inside the mask) and
    energy_inside (share of the map's sum that is inside; share of the area for an all-zero map).
    Inside the region only: pixel_auc_region. Mean over real faces: fp_area_real.

    Args:
        faces: histograms of N faces that have a truth mask, or are real.
        labels: int (N,), 0 real or 1 fake.
        resampling: bootstrap settings, over the N faces.
        level: pixels from this level on are marked; None: skip metrics that need a threshold.
        zeroed: the maps of real faces were set to zero because of their label: metrics over real
            faces have no value.
        pxap: its value from a :class:`~evaluator.metrics.counting.PixelPool`; None: from the
            levels of the histograms, which also give its interval.
    """
    fake = labels == FAKE
    terms = [*_ranking_terms(faces, fake, pxap), *_place_terms(faces, fake)]
    if level is not None:
        terms += _marked_terms(faces, fake, labels == REAL, level)
    found = estimate(terms, resampling)
    if level is None:
        missing = Estimate(None, None, None, 0, "no threshold was asked for")
        found.update(dict.fromkeys(THRESHOLDED, missing))
    if zeroed and (labels == REAL).any():
        found.update(dict.fromkeys(OVER_REALS, Estimate(None, None, None, 0, ZEROED)))
    return found


def prior_metrics(
    faces: Histograms, labels: np.ndarray, resampling: Resampling, pxap: float | None = None
) -> dict[str, Estimate]:
    """Evaluate the mean mask of other faces as if it were the map.

    ``faces`` are histograms of that mean mask, see :class:`evaluator.metrics.prior.MaskPrior`;
    ``pxap`` is as for :func:`localization_metrics`.

    Returns:
        prior_pxap, prior_pixel_auc, prior_pixel_auc_region.
    """
    found = estimate(_ranking_terms(faces, labels == FAKE, pxap), resampling)
    return {f"prior_{name}": value for name, value in found.items()}


def choose_level(faces: Histograms) -> int:
    """Return the level that gives the highest f1_fake on these (fake) faces when used as threshold.

    Ties: the level nearest to 0.5. Level t marks the values above ``EDGES[t]``.

    Raises:
        ValueError: no face has a pixel inside its mask.
    """
    inside, outside = (part.sum(axis=0, dtype=np.int64) for part in (faces.inside, faces.outside))
    if inside.sum() == 0:
        raise ValueError("no forged pixel to choose a threshold on")
    true, false = (np.cumsum(part[::-1])[::-1][1:] for part in (inside, outside))
    f1 = 2 * true / (true + false + inside.sum())
    best = np.flatnonzero(f1 == f1.max()) + 1
    return int(best[np.argmin(np.abs(best - HALF))])


def _ranking_terms(faces: Histograms, fake: np.ndarray, pxap: float | None) -> list[Term]:
    def histograms(rows: np.ndarray) -> np.ndarray:
        chosen = np.concatenate([faces.inside[rows], faces.outside[rows]], axis=1)
        return chosen * fake[rows, None]

    def pooled(sums: np.ndarray) -> np.ndarray:
        return average_precision(sums[:, :LEVELS], sums[:, LEVELS:])

    areas = np.where(fake, faces.pixel_auc, np.nan)
    region_areas = np.where(fake, faces.region_auc, np.nan)
    both = "no fake has pixels in and out of its mask"
    return [
        Term("pxap", histograms, pooled, fake, "no fake has a forged pixel", exact=pxap),
        mean("pixel_auc", areas, both),
        mean("pixel_auc_region", region_areas, f"{both}, inside a region"),
    ]


def _place_terms(faces: Histograms, fake: np.ndarray) -> list[Term]:
    reason = "no fake has a forged pixel"
    return [
        mean("pointing", np.where(fake, faces.pointing, np.nan), reason, counted=True),
        mean("energy_inside", np.where(fake, faces.energy, np.nan), reason),
    ]


def _marked_terms(faces: Histograms, fake: np.ndarray, real: np.ndarray, level: int) -> list[Term]:
    true, false = (part[:, level:].sum(axis=1) for part in (faces.inside, faces.outside))
    missed, clear = (part[:, :level].sum(axis=1) for part in (faces.inside, faces.outside))
    matrix = np.stack([true, false, missed, clear], axis=1).astype(np.float64)
    fakes_only = matrix * fake[:, None]
    union = true + false + missed
    iou = np.where(union > 0, divide(true, union), 1.0)
    area = divide(false, false + clear)
    every, empty = np.ones(len(fake), dtype=bool), "no fake has a forged or marked pixel"
    return [
        Term("pixel_f1_macro", matrix.__getitem__, _f1_macro, every, "no faces"),
        Term("pixel_miou", matrix.__getitem__, _mean_iou, every, "no faces"),
        Term("f1_fake", fakes_only.__getitem__, _f1, fake, empty),
        Term("iou_fake", fakes_only.__getitem__, _iou, fake, empty),
        mean("iou_frame", np.where(fake, iou, np.nan), "no fakes with a mask"),
        mean("fp_area_real", np.where(real, area, np.nan), "no real faces"),
    ]


def _f1(matrix: np.ndarray) -> np.ndarray:
    true, false, missed, _ = matrix.T
    return divide(2 * true, 2 * true + false + missed)


def _iou(matrix: np.ndarray) -> np.ndarray:
    true, false, missed, _ = matrix.T
    return divide(true, true + false + missed)


def _f1_macro(matrix: np.ndarray) -> np.ndarray:
    return _mean_of_classes(_f1(matrix), _f1(matrix[:, ::-1]))


def _mean_iou(matrix: np.ndarray) -> np.ndarray:
    return _mean_of_classes(_iou(matrix), _iou(matrix[:, ::-1]))


def _mean_of_classes(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the mean of two values; only one of them where the other class has no pixel (NaN)."""
    return np.where(np.isnan(fake), real, np.where(np.isnan(real), fake, (fake + real) / 2))
