"""Swaps: the face of one image in another, bent to its landmarks and matched in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from focus.data.forging.areas import bend, draw_hull, scale, soften
from focus.data.forging.blending import Forgery, composite
from focus.data.landmarks import FaceShape
from focus.errors import InputError

_STEP = 8
_STIFFNESSES = (0.05, 5.0)
_CONTRASTS = (0.75, 1.3)
_TONE_WEIGHT = 0.005


class Portrait(NamedTuple):
    """An image, uint8 (H, W, 3), RGB, and where the face is in it, with its 68 landmarks."""

    image: np.ndarray
    shape: FaceShape


class Look(NamedTuple):
    """What donors are chosen by.

    points: landmarks (68, 2).  tone: mean colour of the face in Lab (3,).  hidden: share of the
    landmarks that lie outside the image.
    """

    points: np.ndarray
    tone: np.ndarray
    hidden: float


def swap(target: Portrait, donor: Portrait, rng: np.random.Generator) -> Forgery:
    """Put the donor's face into the target: bent, matched in colour, and blended.

    Half the time it is blended by a soft rim, half the time by its gradients, which needs the
    seam on skin. ``rng`` is the source of outline, softness, stiffness and way of blending.

    Raises:
        InputError: a face without landmarks.
    """
    shape, seamless = target.shape, rng.random() < 0.5
    forehead = (0.4, 0.6) if seamless else (0.45, 0.8)
    hull = bend(draw_hull(shape, *forehead, rng), shape.size, 0.015, rng)
    hull = scale(hull, rng.uniform(0.88, 0.98))
    softness = rng.uniform(0.01, 0.03) if seamless else rng.uniform(0.03, 0.09)
    area = soften(hull, softness, 1.0, target.image.shape[:2])
    if not area.weight.any():
        return composite(target.image, target.image[area.window], area)
    stiffness = float(np.exp(rng.uniform(*np.log(_STIFFNESSES))))
    content = bring(donor.image, _known(donor), _known(target), area.window, stiffness)
    below = target.image[area.window]
    content = match_colours(content, below, area.weight)
    if seamless:
        content = clone_seamlessly(content, below, area.weight)
    return composite(target.image, content, area)


def look_at(portrait: Portrait) -> Look:
    """Return what a portrait is chosen by as a donor."""
    inside = np.zeros(portrait.image.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(portrait.shape.outline).astype(np.int32), 1)
    mean = np.array([[cv2.mean(portrait.image, inside)[:3]]], np.float32)
    tone = cv2.cvtColor(mean / 255, cv2.COLOR_RGB2Lab)[0, 0]
    points = _known(portrait)
    held = np.logical_and(points >= 0, points < inside.shape[::-1]).all(axis=1)
    return Look(points, tone, 1 - float(held.mean()))


def rank_donors(target: Look, candidates: Sequence[Look]) -> list[int]:
    """Return the places of candidates, those most like the target in pose and colour first."""

    def mismatch(place: int) -> float:
        donor = candidates[place]
        far = float(np.abs(donor.tone - target.tone).sum())
        return measure_mismatch(donor.points, target.points) + _TONE_WEIGHT * far + donor.hidden

    return sorted(range(len(candidates)), key=mismatch)


def measure_mismatch(donor: np.ndarray, points: np.ndarray) -> float:
    """Return how differently two faces are posed, in [0, 1]: their Procrustes distance.

    It is what the similarity that brings the landmarks (68, 2) of one nearest those of the other
    leaves between them, relative to their extent. Points are complex numbers here, so that a
    similarity is one product.
    """
    one, other = (_normalise(face @ np.array([1, 1j])) for face in (donor, points))
    return float(np.sqrt(max(1 - abs(np.vdot(one, other)) ** 2, 0)))


def _normalise(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def bring(
    picture: np.ndarray,
    donor: np.ndarray,
    points: np.ndarray,
    window: tuple[slice, slice],
    stiffness: float,
) -> np.ndarray:
    """Bend a donor image so that its landmarks come to lie near ``points``.

    A smoothed thin-plate spline, evaluated on a coarse grid. With little stiffness the donor takes
    over the other's expression and proportions; with much, it is an affine map.

    Args:
        picture: uint8 (H, W, 3).
        donor: its landmarks, (68, 2).
        points: the landmarks of the image that the face goes into, (68, 2).
        window: rows and columns of that image.
        stiffness: weight of smoothness against nearness, above 0.

    Returns:
        uint8 (h, w, 3) of the window; beyond the donor image's border it is mirrored.
    """
    from scipy.interpolate import RBFInterpolator  # half a second that only swaps should cost

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
    return cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def match_colours(content: np.ndarray, below: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give ``content`` the mean and deviation of ``below`` in CIE Lab (Reinhard et al., 2001).

    Both uint8 (h, w, 3), RGB; both are measured where ``weight`` (h, w) is above one half of its
    maximum. Contrast is kept within limits.
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
    """Put ``content`` into ``below`` by its gradients (Perez et al., Poisson image editing, 2003).

    All of one window: uint8 (h, w, 3), RGB, and float32 (h, w); the seam is where the weight is 0.
    """
    inside = (weight > 0).astype(np.uint8) * 255
    # OpenCV puts the middle of the mask's bounding box there, and wants room around it.
    inside[[0, -1], :] = inside[:, [0, -1]] = 0
    x, y, width, height = cv2.boundingRect(inside)
    place = (x + width // 2, y + height // 2)
    return cv2.seamlessClone(content, below, inside, place, cv2.NORMAL_CLONE)


def _known(portrait: Portrait) -> np.ndarray:
    if portrait.shape.points is None:
        raise InputError("a swap needs the landmarks of both faces")
    return portrait.shape.points
