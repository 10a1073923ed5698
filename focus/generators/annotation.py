"""The change masks of MSCCNet: one convex region around all changes from the original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from focus.errors import InputError
from focus.generators.comparison import Comparison, ComparisonConfig, spread
from focus.types import Prediction

DATA_RANGE = 2.0  # as in the published masks: scikit-image's default for floats up to 0.19
WINDOW = 7  # of the structural similarity
K1, K2 = 0.01, 0.03
SMOOTHING = (5, 5)
THRESHOLD = 0.08
DILATION, EROSION, REPEATS = (7, 7), (5, 5), 3
VERTICES = 5  # contours with this many or fewer are ignored
SOFTENING = (7, 7)


class Annotated(NamedTuple):
    """A mask, and whether it is valid."""

    mask: np.ndarray  # uint8 (H, W), 0 or 255; all 0 if not ok
    ok: bool


@dataclass(frozen=True)
class AnnotationConfig(ComparisonConfig):
    """Settings of the annotation. Kernels are in pixels of the crop, whatever its size."""

    data_range: float = DATA_RANGE
    """SSIM's data range for grey values in [0, 1]; 2 reproduces the published masks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data_range > 0:
            raise InputError(f"--options data_range={self.data_range}: must be above 0")


class Annotation(Comparison):
    """Binary masks as MSCCNet made them for FaceForensics++; zero where :func:`annotate` fails.

    Parts: ``ok``, bool (B,), False for a face without a change or whose contours are too simple.
    """

    config_type = AnnotationConfig
    config: AnnotationConfig
    normalisation = "threshold"

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of images 0 to 255 and their originals, both (B, 3, H, W)."""
        fakes, reals = (
            faces.permute(0, 2, 3, 1).contiguous().cpu().numpy()
            for faces in (images.round().byte(), companions)
        )
        maps = torch.empty(len(images), 1, *images.shape[2:])
        masks, ok = maps.numpy(), torch.zeros(len(images), dtype=torch.bool)

        def work(rows: slice) -> None:
            for row in range(rows.start, rows.stop):
                mask, ok[row] = annotate(fakes[row], reals[row], self.config.data_range)
                np.divide(mask, 255, out=masks[row, 0])

        spread(work, len(images))
        parts = {"ok": ok.to(images.device)}
        return Prediction(self.no_scores(images), maps.to(images.device), parts)


def annotate(fake: np.ndarray, real: np.ndarray, data_range: float = DATA_RANGE) -> Annotated:
    """Return the mask of changed pixels (Miao et al., MSCCNet, section 4.1).

    The dissimilarity is scaled to [0, 1] within the pair, so that even a faint change (such as
    compression) gives a mask, possibly of the whole face: pairs should be compressed alike.

    Args:
        fake: uint8 (H, W, 3), RGB.
        real: its aligned original, the same shape.
        data_range: SSIM's data range for the grey values.

    Returns:
        The mask; all zero and not ok if nothing differs or no contour has more than five vertices.
    """
    grey_fake, grey_real = (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in (fake, real))
    change = 1 - structural_similarity(grey_fake / 255, grey_real / 255, data_range)
    low, high = change.min(), change.max()
    if low == high:
        return Annotated(np.zeros_like(grey_fake), False)
    change = cv2.GaussianBlur((change - low) / (high - low), SMOOTHING, 0)
    # Black pixels of the fake are excluded: the published procedure thresholds their product.
    return outline((change > THRESHOLD) & (grey_fake > 0))


def structural_similarity(x: np.ndarray, y: np.ndarray, data_range: float) -> np.ndarray:
    """Return the SSIM map of float64 images (H, W): uniform 7 x 7 window, sample covariance."""
    mean_x, mean_y, xx, yy, xy = (
        cv2.blur(plane, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
        for plane in (x, y, x * x, y * y, x * y)
    )
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    sample = WINDOW**2 / (WINDOW**2 - 1)
    covariance, variances = sample * (xy - product), sample * (xx + yy - squares)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    numerator = (2 * product + c1) * (2 * covariance + c2)
    return numerator / ((squares + c1) * (variances + c2))


def outline(changed: np.ndarray) -> Annotated:
    """Return one convex region around all changed pixels, widened by 6 px.

    Args:
        changed: bool (H, W).
    """
    dilation, erosion = (
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size) for size in (DILATION, EROSION)
    )
    wide = cv2.dilate(changed.astype(np.uint8), dilation, iterations=REPEATS)
    contours, _ = cv2.findContours(wide, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    kept = [contour for contour in contours if len(contour) > VERTICES]
    mask = np.zeros_like(wide)
    if not kept:
        return Annotated(mask, False)
    # The hull of the contours' hulls is the hull of all their points.
    hull = cv2.convexHull(np.concatenate(kept))
    cv2.drawContours(mask, [hull], 0, 1, cv2.FILLED)
    mask = cv2.erode(mask, erosion, iterations=REPEATS)
    soft = cv2.GaussianBlur(mask.astype(np.float64), SOFTENING, 0)
    return Annotated(np.where(soft * 255 >= 1, 255, 0).astype(np.uint8), True)
