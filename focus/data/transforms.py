"""Augmentation: geometric changes that apply to image and map alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from focus.errors import InputError

WORKING_SIDE = 320
"""Pixels of the shorter side above which a face is resized before it is forged or recoloured."""


@dataclass(frozen=True)
class Augmentation:
    """Augmentation settings of training faces."""

    flip: bool = True
    """Mirror half of the faces."""
    smallest_crop: float = 1.0
    """Side of the smallest random square crop, as a share of the face's side (1: none)."""
    augment: tuple[Literal["self-blend", "photometric"], ...] = ()
    """self-blend: forge real faces on the fly, each beside its original; photometric: JPEG, blur,
    noise, scaling, sharpening, colour, tone and cut-out, alike for both classes. Default:
    neither."""
    self_blend_share: float = 0.5
    """With self-blend: share of the fakes that are forged on the fly; all of them where there is no
    other fake."""
    edits: tuple[str, ...] = ("blend",)
    """With self-blend: kinds of forgery, in equal shares; 'blend' or those of
    focus.data.forging.edits, such as warp, inpaint, clone or splice."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.smallest_crop <= 1:
            raise InputError(f"--smallest-crop {self.smallest_crop}: must be between 0.1 and 1")
        if not 0 < self.self_blend_share <= 1:
            raise InputError(
                f"--self-blend-share {self.self_blend_share}: must be a share in (0, 1]"
            )
        if self.edits != ("blend",):
            from focus.data.forging.online import check_kinds  # here: rarely needed, and slow

            check_kinds(self.edits)

    @property
    def forged_share(self) -> float:
        """The share of the fakes that are forged on the fly; 0 without self-blend."""
        return self.self_blend_share if "self-blend" in self.augment else 0.0

    def draw(self, rng: np.random.Generator) -> Geometry:
        """Return a random geometry."""
        side = rng.uniform(self.smallest_crop, 1.0)
        top, left = rng.uniform(0, 1 - side, 2)
        return Geometry(top, left, side, bool(self.flip and rng.random() < 0.5))


@dataclass(frozen=True)
class Geometry:
    """A square crop in shares of height and width, then a flip. The default is the identity."""

    top: float = 0.0
    left: float = 0.0
    side: float = 1.0
    mirrored: bool = False

    def apply(self, plane: np.ndarray, size: int | None = None) -> np.ndarray:
        """Return the crop of an image (H, W, C) or a map (H, W), resized to ``size`` if given.

        A map keeps its grid size: it is sampled bilinearly where the crop falls between cells.
        """
        if plane.ndim == 2 and self.side < 1:
            height, width = plane.shape
            centre = ((self.left + self.side / 2) * width, (self.top + self.side / 2) * height)
            scale = np.array([self.side, self.side])
            matrix = np.zeros((2, 3), dtype=np.float32)
            matrix[[0, 1], [0, 1]] = scale
            # Pixel centres are at half coordinates: x_source = scale * (x + 0.5) + offset - 0.5.
            offset = np.array(centre) - scale * np.array([width, height]) / 2
            matrix[:, 2] = offset + scale * 0.5 - 0.5
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            plane = cv2.warpAffine(
                plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        elif self.side < 1:
            height, width = plane.shape[:2]
            top = min(round(self.top * height), height - 1)
            left = min(round(self.left * width), width - 1)
            plane = plane[
                top : top + max(round(self.side * height), 1),
                left : left + max(round(self.side * width), 1),
            ]
        if size is not None:
            plane = resize(plane, size)
        return plane[:, ::-1].copy() if self.mirrored else plane


def limit_size(image: np.ndarray, needed: int) -> np.ndarray:
    """Shrink (H, W, C) to a shorter side of ``WORKING_SIDE``, or of ``needed`` if that is more."""
    height, width = image.shape[:2]
    scale = max(needed, WORKING_SIDE) / min(height, width)
    if scale >= 1:
        return image
    size = round(scale * width), round(scale * height)
    shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return shrunk.reshape(*size[::-1], *image.shape[2:])  # OpenCV drops a single channel


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (H, W[, C]) to a square of ``size``: area averaging below 1/1.5, else bilinear.

    From 256 to 224 px, bilinear is as close to an antialiased resize as area averaging (measured:
    48.8 and 48.1 dB) and four times as fast; from a factor of 1.5 on it is worse.
    """
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    far = min(height, width) > size and max(height, width) >= 1.5 * size
    method = cv2.INTER_AREA if far else cv2.INTER_LINEAR
    resized = cv2.resize(image, (size, size), interpolation=method)
    return resized.reshape(size, size, *image.shape[2:])  # OpenCV drops a single channel
