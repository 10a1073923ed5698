"""Forgeries made on the fly, in training: no landmarks, no files, and a soft weight as truth.

The first kind, ``blend``, is the self-blend of :mod:`focus.data.forging.blending`; the others are
the edits of :mod:`focus.data.forging.edits`. The place of the face is the box of its region, if it
is known, or else an average face near the middle of the crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.forging.areas import PARTS, random_area
from focus.data.forging.blending import Forgery, composite, measure_change, vary
from focus.data.forging.edits import EDITS, NEEDS_DONOR
from focus.data.forging.making import LEAST_CHANGE, LEAST_SHARE
from focus.data.landmarks import FaceShape
from focus.errors import InputError

KINDS = ("blend", *EDITS)
_ALL_PARTS = ("face", *PARTS)
_ODDS = (0.4, 0.15, 0.15, 0.15, 0.15)
_HEIGHTS, _ASPECTS = (0.6, 0.8), (0.68, 0.9)
"""Height of an average face in the crop, and its width over its height."""
_SHIFT = 0.04


@dataclass(frozen=True)
class SoftForgery(Forgery):
    """A forged image, and the share of the forged content in each pixel.

    weight: float32 (H, W) in [0, 1]; 0 where the image equals the original.
    """

    weight: np.ndarray


def forge_on_the_fly(
    image: np.ndarray,
    donor: Callable[[], np.ndarray | None] | None,
    rng: np.random.Generator,
    kinds: Sequence[str] = ("blend",),
    region: tuple[float, float, float, float] | None = None,
) -> SoftForgery | None:
    """Forge a real face: a random kind, in a random soft area of the face.

    Args:
        image: uint8 (H, W, 3), RGB; not modified.
        donor: reads another face, uint8 (H, W, 3) or None; called only for a kind that inserts it.
        rng: random generator for everything.
        kinds: the kinds to choose from, of :data:`KINDS`.
        region: the face's box: left, top, right and bottom as shares of the image's sides; None:
            unknown.

    Returns:
        The forgery; None if its area is almost empty, or its change invisible: try again.

    Raises:
        InputError: an unknown kind.
    """
    kind = kinds[int(rng.integers(len(kinds)))]
    check_kinds((kind,))
    shape = guess_shape(image.shape[:2], rng, region)
    part = _ALL_PARTS[int(rng.choice(len(_ALL_PARTS), p=_ODDS))]
    area = random_area(shape, part, image.shape[:2], rng)
    if np.count_nonzero(area.weight) < max(LEAST_SHARE * shape.size**2, 1):
        return None
    if kind == "blend":
        content = vary(image[area.window], shape.size, rng)
    else:
        other = donor() if donor is not None and kind in NEEDS_DONOR else None
        content = EDITS[kind](image, area, rng, other)
    forgery = composite(image, content, area)
    if measure_change(image, forgery) < LEAST_CHANGE:
        return None
    weight = np.zeros(image.shape[:2], np.float32)
    weight[area.window] = area.weight
    return SoftForgery(forgery.image, forgery.mask, weight)


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise InputError for an unknown kind, or none at all."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InputError(f"--edits {' '.join(unknown)}: use one or more of {', '.join(KINDS)}")


def wants_donor(kinds: Sequence[str]) -> bool:
    """Return whether any of the kinds inserts another face."""
    return not NEEDS_DONOR.isdisjoint(kinds)


def find_region(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return the box around a mask, bool (H, W), as shares of its sides; None if it is empty."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not (width and height):
        return None
    rows, columns = mask.shape
    return left / columns, top / rows, (left + width) / columns, (top + height) / rows


def guess_shape(
    size: tuple[int, int],
    rng: np.random.Generator,
    region: tuple[float, float, float, float] | None = None,
) -> FaceShape:
    """Return an average face in a box, or near the middle of an image if the box is None.

    Args:
        size: height and width of the image in pixels.
        rng: random generator of place and proportions; with a box, of the last two per cent.
        region: as in :func:`forge_on_the_fly`.
    """
    rows, columns = size
    if region is None:
        height = rng.uniform(*_HEIGHTS) * min(rows, columns)
        width = rng.uniform(*_ASPECTS) * height
        shift = rng.uniform(-_SHIFT, _SHIFT, 2) * min(rows, columns)
    else:
        left, top, right, bottom = region
        width, height = (right - left) * columns, (bottom - top) * rows
        shift = rng.uniform(-_SHIFT, _SHIFT, 2) * min(width, height) / 2
        shift += np.array([(left + right - 1) / 2 * columns, (top + bottom - 1) / 2 * rows])
    middle = np.array([columns / 2, rows / 2]) - 0.5 + shift
    # The average face is symmetric: any image gives its proportions.
    average = FaceShape.from_box(1000, 1000)
    low, high = average.outline.min(0), average.outline.max(0)
    scale = np.array([width, height]) / (high - low)

    def place(points: np.ndarray) -> np.ndarray:
        return ((points - (low + high) / 2) * scale + middle).astype(np.float32)

    return FaceShape(place(average.outline), place(average.eyes), place(average.mouth))
