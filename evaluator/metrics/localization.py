"""Localisation metrics: how well maps find the pixels of truth masks.

A face is reduced to two histograms, of the map's levels inside and outside its mask, so that
memory does not grow with the number of pixels and every threshold is judged at once. Maps are
judged at the size of the mask: resized bilinearly (half-pixel centres), then held at the 256 levels
of a map file. Zero divisions: a per-face IoU of two empty masks is 1; a class without any true or
marked pixel leaves the mean over classes; any other 0 / 0 has no value, and a reason.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from evaluator.metrics import THRESHOLDED
from evaluator.metrics.intervals import Estimate, Resampling, Term, estimate, mean
from evaluator.metrics.ranking import auc, average_precision, divide
from focus.types import FAKE, REAL

LEVELS = 256
HALF = 128  # the first level that stands for values above 0.5


class FaceHistogram(NamedTuple):
    """What is kept of one face's map and mask."""

    inside: np.ndarray  # uint32 (256,): pixels of the mask at each level
    outside: np.ndarray  # uint32 (256,): the other pixels
    region_auc: float  # AUC over the pixels of the region; NaN without one, or with one class


class Histograms(NamedTuple):
    """What is kept of N faces' maps and masks: 2 kB a face."""

    inside: np.ndarray  # uint32 (N, 256)
    outside: np.ndarray  # uint32 (N, 256)
    region_auc: np.ndarray  # float64 (N,)

    @classmethod
    def empty(cls, faces: int) -> Histograms:
        """Return room for ``faces`` faces, to be filled with :meth:`put`."""
        inside, outside = np.zeros((2, faces, LEVELS), dtype=np.uint32)
        return cls(inside, outside, np.full(faces, np.nan))

    def put(self, row: int, face: FaceHistogram) -> None:
        """Write one face into its row."""
        for column, value in zip(self, face, strict=True):
            column[row] = value

    def take(self, rows: np.ndarray) -> Histograms:
        """Return some of the faces."""
        return Histograms(self.inside[rows], self.outside[rows], self.region_auc[rows])


def resize_levels(map_: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map bilinearly and hold it at 256 levels.

    Args:
        map_: (h, w), float in [0, 1], or uint8 in [0, 255] as a map file stores it.
        size: (height, width) of the result.

    Returns:
        uint8 (height, width): 255 times the map, to the nearest level; a half goes down, so that
        level 128 and above is exactly what lies above 0.5.
    """
    scale = 1 if map_.dtype == np.uint8 else LEVELS - 1
    values = map_.astype(np.float32) * np.float32(scale)
    if values.shape != tuple(size):
        values = cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.ceil(values - 0.5), 0, LEVELS - 1).astype(np.uint8)


def compare(map_: np.ndarray, mask: np.ndarray, region: np.ndarray | None = None) -> FaceHistogram:
    """Count a map's levels inside and outside the truth, at the truth's size.

    Args:
        map_: (h, w), float in [0, 1] or uint8 in [0, 255]; 1 or 255 = manipulated.
        mask: bool (H, W), the truth; all False for a real face.
        region: bool (H, W), the area that is judged by itself too.

    Raises:
        ValueError: mask and region differ in size.
    """
    if region is not None and region.shape != mask.shape:
        sizes = (f"{height} x {width}" for height, width in (region.shape, mask.shape))
        raise ValueError("the region is {}, the mask {}".format(*sizes))
    codes = resize_levels(map_, mask.shape).astype(np.int64)
    codes += LEVELS * mask
    if region is not None:
        codes += 2 * LEVELS * region
    counts = np.bincount(codes.ravel(), minlength=4 * LEVELS).reshape(2, 2, LEVELS)
    outside, inside = counts.sum(axis=0).astype(np.uint32)
    return FaceHistogram(inside, outside, float(auc(counts[1, 1], counts[1, 0])))


def localization_metrics(
    faces: Histograms,
    labels: np.ndarray,
    resampling: Resampling,
    level: int | None = HALF,
    zeroed: bool = False,
) -> dict[str, Estimate]:
    """Judge maps against masks. ``n`` is the number of faces that enter.

    Over all faces, one matrix: pixel_f1_macro, pixel_miou (mean of both classes). Over fakes, one
    matrix: f1_fake, iou_fake; pooled pixels: pxap. Means over fakes: iou_frame (1 where mask and
    marked area are both empty), and, where the mask is not empty, pixel_auc (nor full), pointing
    (is the map's highest level inside; the share that is inside where several pixels have it) and
    energy_inside (share of the map's sum; of the area, for a map that is zero all over). Over the
    pixels of the region: pixel_auc_region. Mean over real faces: fp_area_real.

    Args:
        faces: histograms of N faces that have a truth mask, or are real.
        labels: int (N,), 0 real or 1 fake.
        resampling: how the intervals are drawn, over the N faces.
        level: pixels from this level on are marked; None leaves out what needs a threshold.
        zeroed: the maps of real faces were set to zero because of their label.
    """
    fake = labels == FAKE
    terms = [*_ranking_terms(faces, fake), *_place_terms(faces, fake)]
    if level is not None:
        terms += _marked_terms(faces, fake, labels == REAL, level, zeroed)
    found = estimate(terms, resampling)
    if level is None:
        missing = Estimate(None, None, None, 0, "no threshold was asked for")
        found.update(dict.fromkeys(THRESHOLDED, missing))
    return found


def prior_metrics(
    faces: Histograms, labels: np.ndarray, resampling: Resampling
) -> dict[str, Estimate]:
    """Judge the mean mask of other faces as if it were the map: what the usual place scores.

    ``faces`` are histograms of that mean mask, see :class:`evaluator.metrics.prior.MaskPrior`.

    Returns:
        prior_pxap, prior_pixel_auc, prior_pixel_auc_region.
    """
    found = estimate(_ranking_terms(faces, labels == FAKE), resampling)
    return {f"prior_{name}": value for name, value in found.items()}


def choose_level(faces: Histograms) -> int:
    """Return the level from which marking gives the highest f1_fake on these (fake) faces.

    Among equals the one nearest to 0.5. Level t marks the values above (t - 0.5) / 255.

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


def _ranking_terms(faces: Histograms, fake: np.ndarray) -> list[Term]:
    histograms = np.concatenate([faces.inside, faces.outside], axis=1) * fake[:, None]

    def pooled(sums: np.ndarray) -> np.ndarray:
        return average_precision(sums[:, :LEVELS], sums[:, LEVELS:])

    areas = np.where(fake, auc(faces.inside, faces.outside), np.nan)
    region_areas = np.where(fake, faces.region_auc, np.nan)
    both = "no fake has pixels in and out of its mask"
    return [
        Term("pxap", histograms, pooled, int(fake.sum()), "no fake has a forged pixel"),
        mean("pixel_auc", areas, both),
        mean("pixel_auc_region", region_areas, f"{both}, inside a region"),
    ]


def _place_terms(faces: Histograms, fake: np.ndarray) -> list[Term]:
    levels = np.arange(LEVELS, dtype=np.float64)
    area = faces.inside.sum(axis=1) / (faces.inside + faces.outside).sum(axis=1)
    all_pixels = faces.inside + faces.outside
    top = LEVELS - 1 - np.argmax(all_pixels[:, ::-1] > 0, axis=1)[:, None]
    highest = (np.take_along_axis(part, top, axis=1)[:, 0] for part in (faces.inside, all_pixels))
    share = divide(faces.inside @ levels, all_pixels @ levels)
    enters = fake & (area > 0)
    reason = "no fake has a forged pixel"
    return [
        mean("pointing", np.where(enters, divide(*highest), np.nan), reason),
        mean(
            "energy_inside", np.where(enters, np.where(top[:, 0] > 0, share, area), np.nan), reason
        ),
    ]


def _marked_terms(
    faces: Histograms, fake: np.ndarray, real: np.ndarray, level: int, zeroed: bool
) -> list[Term]:
    true, false = (part[:, level:].sum(axis=1) for part in (faces.inside, faces.outside))
    missed, clear = (part[:, :level].sum(axis=1) for part in (faces.inside, faces.outside))
    matrix = np.stack([true, false, missed, clear], axis=1).astype(np.float64)
    fakes_only = matrix * fake[:, None]
    union = true + false + missed
    iou = np.where(union > 0, divide(true, union), 1.0)
    area = divide(false, false + clear)
    count, empty = int(fake.sum()), "no fake has a forged or marked pixel"
    no_reals = "real maps were zeroed by label" if zeroed else "no real faces"
    return [
        Term("pixel_f1_macro", matrix, _f1_macro, len(fake), "no faces"),
        Term("pixel_miou", matrix, _mean_iou, len(fake), "no faces"),
        Term("f1_fake", fakes_only, _f1, count, empty),
        Term("iou_fake", fakes_only, _iou, count, empty),
        mean("iou_frame", np.where(fake, iou, np.nan), "no fakes with a mask"),
        mean("fp_area_real", np.where(real & (not zeroed), area, np.nan), no_reals),
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
    """Mean of two values; the other one alone where a class has no pixel, true or marked."""
    return np.where(np.isnan(fake), real, np.where(np.isnan(real), fake, (fake + real) / 2))
