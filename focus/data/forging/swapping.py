"""Swaps: insert the face of one image into another, warped to its landmarks, colours matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from focus.data.forging.areas import bend, random_hull, scale, soften
from focus.data.forging.blending import Forgery, composite
from focus.data.landmarks import FaceShape
from focus.errors import InputError

_STEP = 8
_STIFFNESSES = (0.05, 5.0)
_CONTRASTS = (0.75, 1.3)
_TONE_WEIGHT = 0.005


class Portrait(NamedTuple):
    """An image, uint8 (H, W, 3), RGB, and its face (a swap needs the 68 landmarks)."""

    image: np.ndarray
    shape: FaceShape


class Appearance(NamedTuple):
    """The features used to choose donors.

    points: landmarks (68, 2).  tone: mean colour of the face in Lab (3,).  hidden: fraction of
    the landmarks outside the image.
    """

    points: np.ndarray
    tone: np.ndarray
    hidden: float


def swap(target: Portrait, donor: Portrait, rng: np.random.Generator) -> Forgery:
    """Insert the donor's face into the target: warped, matched in colour, and blended.

    Half the time it is blended with a soft rim, half the time by gradients, which requires the seam
    to be on skin. ``rng`` determines outline, softness, stiffness and blending.

    Raises:
        InputError: a face without landmarks.
    """
    shape, seamless = target.shape, rng.random() < 0.5
    forehead = (0.4, 0.6) if seamless else (0.45, 0.8)
    hull = bend(random_hull(shape, *forehead, rng), shape.size, 0.015, rng)
    hull = scale(hull, rng.uniform(0.88, 0.98))
    softness = rng.uniform(0.01, 0.03) if seamless else rng.uniform(0.03, 0.09)
    area = soften(hull, softness, 1.0, target.image.shape[:2])
    if not area.weight.any():
        return composite(target.image, target.image[area.window], area)
    stiffness = float(np.exp(rng.uniform(*np.log(_STIFFNESSES))))
    content = warp_donor(
        donor.image, _require_points(donor), _require_points(target), area.window, stiffness
    )
    below = target.image[area.window]
    content = match_colours(content, below, area.weight)
    if seamless:
        content = clone_seamlessly(content, below, area.weight)
    return composite(target.image, content, area)


def measure_appearance(portrait: Portrait) -> Appearance:
    """Return the features by which a portrait is chosen as a donor."""
    inside = np.zeros(portrait.image.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(portrait.shape.outline).astype(np.int32), 1)
    mean = np.array([[cv2.mean(portrait.image, inside)[:3]]], np.float32)
    tone = cv2.cvtColor(mean / 255, cv2.COLOR_RGB2Lab)[0, 0]
    points = _require_points(portrait)
    held = np.logical_and(points >= 0, points < inside.shape[::-1]).all(axis=1)
    return Appearance(points, tone, 1 - float(held.mean()))


def rank_donors(target: Appearance, candidates: Sequence[Appearance]) -> list[int]:
    """Return the positions of candidates, most similar to the target in pose and colour first."""

    def mismatch(place: int) -> float:
        donor = candidates[place]
        far = float(np.abs(donor.tone - target.tone).sum())
        return measure_mismatch(donor.points, target.points) + _TONE_WEIGHT * far + donor.hidden

    return sorted(range(len(candidates)), key=mismatch)


def measure_mismatch(donor: np.ndarray, points: np.ndarray) -> float:
    """Return the pose difference of two faces, in [0, 1]: the Procrustes distance.

    It is the residual between the landmarks (68, 2) of both faces after the best similarity
    transform, relative to their extent. Points are complex numbers here, so that a similarity
    transform is one product.
    """
    one, other = (_normalise(face @ np.array([1, 1j])) for face in (donor, points))
    return float(np.sqrt(max(1 - abs(np.vdot(one, other)) ** 2, 0)))


def _normalise(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def warp_donor(
    image: np.ndarray,
    donor: np.ndarray,
    points: np.ndarray,
    window: tuple[slice, slice],
    stiffness: float,
) -> np.ndarray:
    """Warp a donor image so that its landmarks are near ``points``.

    Uses a smoothed thin-plate spline, evaluated on a coarse grid. With low stiffness the donor
    takes the expression and proportions of the target; with high stiffness the map is affine.

    Args:
        image: the donor image, uint8 (H, W, 3).
        donor: its landmarks, (68, 2).
        points: landmarks of the target image, (68, 2).
        window: rows and columns of the target image.
        stiffness: weight of smoothness against fit, above 0.

    Returns:
        uint8 (h, w, 3) of the window; mirrored beyond the border of the donor image.
    """
    from scipy.interpolate import RBFInterpolator  # slow import (0.5 s), only for swaps

    rows, columns = window
    height, width = rows.stop - rows.start, columns.stop - columns.start
    x, y = (
        start + (np.arange(-1, -(-side // _STEP) + 1) + 0.5) * _STEP - 0.5
        for start, side in ((columns.start, width), (rows.start, height))
    )
    middle, unit = points.mean(0), float(np.std(points))
    spline = RBFInterpolator((points - middle) / unit, donor, smoothing=stiffness)
    grid = (np.stack(np.meshgrid(x, y), axis=-1) - middle) / unit
    coarse = spline(grid.reshape(-1, 2)).reshape(*grid.shape).astype(np.float32)
    fine = cv2.resize(coarse, None, fx=_STEP, fy=_STEP, interpolation=cv2.INTER_CUBIC)
    at_x, at_y = cv2.split(fine[_STEP : _STEP + height, _STEP : _STEP + width])
    return cv2.remap(image, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def match_colours(content: np.ndarray, below: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Match mean and standard deviation in CIE Lab to ``below`` (Reinhard et al., 2001).

    Both are uint8 (h, w, 3), RGB, and measured where ``weight`` (h, w) is above half its maximum.
    The change of contrast is limited to [0.75, 1.3].
    """
    inside = (weight > weight.max() / 2).astype(np.uint8)
    there = cv2.cvtColor(content.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    here = cv2.cvtColor(below.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    mean_there, deviation_there = (part.ravel() for part in cv2.meanStdDev(there, mask=inside))
    mean_here, deviation_here = (part.ravel() for part in cv2.meanStdDev(here, mask=inside))
    gain = np.clip(deviation_here / np.maximum(deviation_there, 0.5), *_CONTRASTS)
    matched = (there - mean_there) * gain + mean_here
    rgb = cv2.cvtColor(matched.astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)


def clone_seamlessly(content: np.ndarray, below: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend ``content`` into ``below`` by gradients (Perez et al., Poisson image editing, 2003).

    All have the size of the window: uint8 (h, w, 3), RGB; ``weight`` is float32 (h, w), 0 on the
    seam and outside.
    """
    inside = (weight > 0).astype(np.uint8) * 255
    # OpenCV centres the mask's bounding box on this point, and needs a margin around it.
    inside[[0, -1], :] = inside[:, [0, -1]] = 0
    x, y, width, height = cv2.boundingRect(inside)
    place = (x + width // 2, y + height // 2)
    return cv2.seamlessClone(content, below, inside, place, cv2.NORMAL_CLONE)


def _require_points(portrait: Portrait) -> np.ndarray:
    if portrait.shape.points is None:
        raise InputError("a swap needs the landmarks of both faces")
    return portrait.shape.points
