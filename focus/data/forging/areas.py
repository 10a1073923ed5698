"""Areas to forge: a polygon, deformed at random, filled, with a soft rim."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from focus.data.landmarks import FaceShape

PARTS = ("half", "eyes", "mouth", "blob")
FAINTEST = 0.05
"""Weights below this are set to 0: the mask is where the weight is at least this."""
_CORNERS = 96
_FRACTION_BITS = 4
_REGION = 1.12
_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


class Area(NamedTuple):
    """A soft area of an image.

    window: its rows and columns in the image.
    weight: float32 (h, w) of the window, in {0} or [FAINTEST, 1].
    """

    window: tuple[slice, slice]
    weight: np.ndarray


def random_area(
    shape: FaceShape, part: str, image_size: tuple[int, int], rng: np.random.Generator
) -> Area:
    """Return a random soft area for a self-blend.

    Args:
        shape: the face.
        part: ``face`` (all of it) or one of :data:`PARTS`.
        image_size: height and width in pixels.
        rng: random generator for outline, softness and blend ratio (0.25, 0.5, 0.75 or, half the
            time, 1).
    """
    polygon = bend(_POLYGONS[part](shape, rng), shape.size, 0.05 if part == "blob" else 0.02, rng)
    return soften(polygon, rng.uniform(0.02, 0.1), float(rng.choice(_RATIOS)), image_size)


def soften(polygon: np.ndarray, softness: float, ratio: float, image_size: tuple[int, int]) -> Area:
    """Fill a polygon, with a rim that fades inwards.

    Args:
        polygon: float32 (N, 2), x and y in pixels.
        softness: standard deviation of the rim's blur, relative to the square root of the area.
        ratio: weight in the middle, in [FAINTEST, 1].
        image_size: height and width in pixels; the area is clipped to the image.
    """
    deviation = max(softness * float(np.sqrt(cv2.contourArea(polygon))), 0.6)
    reach = 3 * deviation + 2
    low = np.clip(np.floor(polygon.min(0) - reach), 0, image_size[::-1]).astype(int)
    high = np.clip(np.ceil(polygon.max(0) + reach) + 1, low, image_size[::-1]).astype(int)
    window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    weight = np.zeros((high - low)[::-1], np.float32)
    if weight.size == 0:
        return Area(window, weight)
    corners = np.rint((polygon - low) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(weight, [corners], 1.0, cv2.LINE_8, _FRACTION_BITS)
    # A face cut off by the image does not fade at the image's border.
    weight = cv2.GaussianBlur(weight, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
    # A blurred step is 0.5 at the edge: rescale so that the weight is 0 outside the polygon.
    weight = np.clip(2 * weight - 1, 0, 1)
    weight *= ratio / max(float(weight.max()), 1e-6)
    weight[weight < FAINTEST] = 0
    return Area(window, weight)


def fill_region(shape: FaceShape, image_size: tuple[int, int]) -> np.ndarray:
    """Return the face with a margin for forgeries, bool (H, W)."""
    region = np.zeros(image_size, np.uint8)
    corners = np.rint(scale(shape.outline, _REGION) * 2**_FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(region, [corners], 1, cv2.LINE_8, _FRACTION_BITS)
    return region > 0


def random_hull(shape: FaceShape, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Return the face's outline with a random share of the forehead, in [low, high] (1: all)."""
    middle, up = shape.eyes.mean(0), shape.up
    height = (shape.outline - middle) @ up
    fall = np.clip(height, 0, None) * (1 - rng.uniform(low, high))
    return (shape.outline - fall[:, None] * up).astype(np.float32)


def _face(shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    return scale(random_hull(shape, 0.5, 1.0, rng), rng.uniform(0.85, 1.04))


def _half(shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Return the left or right half of the face, cut near its axis."""
    middle = (shape.eyes.mean(0) + shape.mouth.mean(0)) / 2
    angle, side = rng.normal(0, 0.12), float(rng.choice([-1, 1]))
    cos, sin = np.cos(angle), np.sin(angle)
    up = np.array([[cos, -sin], [sin, cos]]) @ shape.up
    across = np.array([-up[1], up[0]]) * side
    start = middle + across * rng.normal(0, 0.06) * shape.size
    far = 4 * shape.size
    plane = [start + far * up, start + far * (up + across), start + far * (across - up)]
    cut = np.array([*plane, start - far * up], np.float32)
    found = cv2.intersectConvexConvex(cv2.convexHull(_face(shape, rng)), cv2.convexHull(cut))[1]
    return found.reshape(-1, 2)


def _eyes(shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Return both eyes with their brows, or one of them."""
    points, across = shape.eyes, np.array([-shape.up[1], shape.up[0]])
    if rng.random() < 0.35:
        place = (points - points.mean(0)) @ across
        points = points[place > 0] if rng.random() < 0.5 else points[place < 0]
    return _surround(points, rng.uniform(0.05, 0.16) * shape.size)


def _mouth(shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    return _surround(shape.mouth, rng.uniform(0.06, 0.2) * shape.size)


def _blob(shape: FaceShape, rng: np.random.Generator) -> np.ndarray:
    """Return an ellipse around a random point of the face."""
    corners = rng.dirichlet(np.full(len(shape.outline), 0.1))
    middle = shape.outline.mean(0)
    centre = middle + 0.8 * (corners @ shape.outline - middle)
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    radii = rng.uniform(0.15, 0.4, 2) * shape.size
    angle = rng.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radii
    return (centre + ring @ np.array([[cos, sin], [-sin, cos]])).astype(np.float32)


def _surround(points: np.ndarray, reach: float) -> np.ndarray:
    """Return the convex hull of discs of radius ``reach`` around points."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = reach * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    discs = (points[:, None] + ring).astype(np.float32).reshape(-1, 2)
    return cv2.convexHull(discs).reshape(-1, 2)


def scale(polygon: np.ndarray, factor: float) -> np.ndarray:
    """Scale a polygon about the middle of its bounding box."""
    middle = (polygon.min(0) + polygon.max(0)) / 2
    return (middle + factor * (polygon - middle)).astype(np.float32)


def bend(polygon: np.ndarray, size: float, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Deform a polygon by a smooth random field of standard deviation ``strength * size``."""
    rim = _resample(polygon)
    low, high = rim.min(0), rim.max(0)
    field = rng.normal(0, strength * size, (5, 5, 2)).astype(np.float32)
    at = (1 + 2 * (rim - low) / np.maximum(high - low, 1e-3)).astype(np.float32)
    moves = cv2.remap(field, at[:, 0], at[:, 1], cv2.INTER_CUBIC)[:, 0]
    shift = rng.normal(0, 0.02 * size, 2)
    return (rim + moves + shift).astype(np.float32)


def _resample(polygon: np.ndarray) -> np.ndarray:
    """Return equidistant points along a closed polygon."""
    closed = np.concatenate([polygon, polygon[:1]])
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], _CORNERS, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1)


_POLYGONS: dict[str, Callable[[FaceShape, np.random.Generator], np.ndarray]] = {
    "face": _face,
    "half": _half,
    "eyes": _eyes,
    "mouth": _mouth,
    "blob": _blob,
}
