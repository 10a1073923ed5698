"""Local forgeries of drawn portraits, with exact masks.

Real portraits have uniform camera grain. Every forgery changes the grain inside its mask only:
``blend`` inserts the grain, light and features of another person, ``smooth`` removes grain,
``upsample`` loses fine detail, ``warp`` resamples it. Kind, size and place are random, so that no
fixed place reveals the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from focus.data.demo.drawing import Portrait, render
from focus.data.demo.face import cloud
from focus.data.demo.people import Person, draw_person, draw_shot

METHODS = ("blend", "smooth", "upsample", "warp")
SMALLEST, LARGEST = 0.03, 0.35
"""Bounds of the mask's fraction of the image."""
_FAINTEST = 0.12
_LEAST_ON_HEAD = 0.35
_AREAS = {
    "blend": {"half": 0.2, "eyes": 0.15, "inner": 0.1, "blob": 0.55},
    "smooth": {"half": 0.15, "inner": 0.1, "blob": 0.75},
    "upsample": {"half": 0.15, "inner": 0.1, "blob": 0.75},
    "warp": {"mouth": 0.25, "eyes": 0.15, "blob": 0.6},
}


@dataclass(frozen=True)
class Forgery:
    """A forged portrait.

    image: uint8 (H, W, 3), RGB, never compressed; equal to the portrait outside the mask.
    mask: bool (H, W), where the forged content has a weight above 0 (soft rim included, down to
        a weight of 0.12).
    """

    image: np.ndarray
    mask: np.ndarray


def forge(portrait: Portrait, method: str, rng: np.random.Generator) -> Forgery:
    """Forge a part of a portrait; the mask covers 3 to 35 % of the image.

    Args:
        portrait: the real image; not modified.
        method: one of :data:`METHODS`.
        rng: random generator for kind, place, size and strength.
    """
    weight = _random_weight(portrait, _AREAS[method], rng)
    change = _CHANGES[method](portrait, weight, rng)
    base = portrait.image.astype(np.float32)
    mixed = base + (change - base) * weight[..., None]
    image = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return Forgery(image, weight > 0)


def _random_weight(
    portrait: Portrait, areas: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Return a random soft mask, float32 (H, W) in {0} or [_FAINTEST, 1]."""
    kinds, chances = list(areas), list(areas.values())
    while True:
        kind = kinds[int(rng.choice(len(kinds), p=chances))]
        area = _AREA_OF[kind](portrait, rng).astype(np.float32)
        blurred = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.6, 2.2))
        weight = np.where(blurred < _FAINTEST, np.float32(0), blurred)
        if SMALLEST <= np.count_nonzero(weight) / weight.size <= LARGEST:
            return weight


def _ellipse(
    portrait: Portrait, centre: tuple[float, float], radii: tuple[float, float]
) -> np.ndarray:
    """Return an ellipse on the face (in half head heights) as bool (H, W)."""
    across = (portrait.face_x - centre[0]) / radii[0]
    down = (portrait.face_y - centre[1]) / radii[1]
    return across**2 + down**2 < 1


def _half(portrait: Portrait, rng: np.random.Generator) -> np.ndarray:
    angle = rng.choice([0, 0.5, 1, 1.5]) * np.pi + rng.normal(0, 0.25)
    across, down = portrait.face_x, portrait.face_y - 0.2
    side = across * float(np.cos(angle)) + down * float(np.sin(angle)) > rng.uniform(-0.05, 0.2)
    return side & _ellipse(portrait, (0, 0.1), (rng.uniform(0.55, 0.7), rng.uniform(0.75, 0.9)))


def _eyes(portrait: Portrait, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        side = float(rng.choice([-0.3, 0.3]))
        return _ellipse(portrait, (side, -0.02), (rng.uniform(0.25, 0.36), rng.uniform(0.24, 0.34)))
    return _ellipse(portrait, (0, -0.03), (rng.uniform(0.58, 0.68), rng.uniform(0.2, 0.32)))


def _mouth(portrait: Portrait, rng: np.random.Generator) -> np.ndarray:
    return _ellipse(portrait, (0, 0.66), (rng.uniform(0.34, 0.5), rng.uniform(0.22, 0.34)))


def _inner(portrait: Portrait, rng: np.random.Generator) -> np.ndarray:
    return _ellipse(portrait, (0, 0.28), (rng.uniform(0.46, 0.58), rng.uniform(0.55, 0.68)))


def _blob(portrait: Portrait, rng: np.random.Generator) -> np.ndarray:
    """Return a lobed shape around a random point of the head, its hair or its rim.

    Of two random points, use the one farther from the middle: all other kinds of area are in the
    middle, and a fixed place would reveal the forgery.
    """
    side = portrait.head.shape[0]
    reach = np.ones((2 * (side // 14) + 1,) * 2, dtype=np.uint8)
    rows, columns = np.nonzero(cv2.dilate(portrait.head.astype(np.uint8), reach))
    points = [(int(columns[i]), int(rows[i])) for i in rng.integers(len(rows), size=2)]
    x, y = max(points, key=lambda point: np.hypot(point[0] - side / 2, point[1] - side / 2))
    line = np.arange(side, dtype=np.float32)
    across, down = (line - x)[None, :] / side, (line - y)[:, None] / side
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.7, 1.4)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    u, v = (across * cos + down * sin) * stretch, (down * cos - across * sin) / stretch
    blob = u * u + v * v < (rng.uniform(0.10, 0.27) * (1 + 0.22 * cloud(rng, 5, side))) ** 2
    on_head = np.count_nonzero(blob & portrait.head) > _LEAST_ON_HEAD * np.count_nonzero(blob)
    return blob if on_head else _blob(portrait, rng)


def _blend(portrait: Portrait, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return another person in the same pose, aligned by resampling and matched in colour."""
    shot = portrait.shot
    other = draw_shot(rng)
    rough = rng.uniform(2.0, 2.6) if rng.random() < 0.2 else rng.uniform(0.05, 0.3)
    donor_shot = replace(
        shot,
        grain_seed=other.grain_seed,
        grain=shot.grain * rough,
        smile=other.smile,
        open_mouth=other.open_mouth,
        open_eyes=other.open_eyes,
        gaze=other.gaze,
        light=other.light,
        yaw=shot.yaw + rng.normal(0, 0.05),
        pitch=shot.pitch + rng.normal(0, 0.03),
    )
    closest = min(
        (draw_person(rng) for _ in range(4)), key=partial(_colour_distance, portrait.person)
    )
    side = portrait.image.shape[0]
    drawn = render(closest, donor_shot, side).image.astype(np.float32)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.normal(0, 2), rng.normal(1, 0.025))
    turn = turn + np.array([[0, 0, 1], [0, 0, 1]]) * rng.normal(0, 0.008 * side, (2, 1))
    donor = cv2.warpAffine(drawn, turn, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    inside = weight > 0.5
    there, here = donor[inside], portrait.image[inside].astype(np.float32)
    gain = np.clip(here.std(0) / np.maximum(there.std(0), 1), 0.75, 1.3)
    matched = (donor - there.mean(0)) * gain + here.mean(0)
    return donor + (matched - donor) * rng.uniform(0.75, 1.0)


def _colour_distance(one: Person, other: Person) -> float:
    skin, hair = np.subtract(one.skin, other.skin), np.subtract(one.hair_colour, other.hair_colour)
    return float(np.abs(skin).sum() + np.abs(hair).sum())


def _smooth(portrait: Portrait, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image without its grain, like beauty filters and weak generators."""
    strength = rng.uniform(45, 75)
    smooth = cv2.bilateralFilter(portrait.image, 7, strength, rng.uniform(1.8, 2.8))
    if rng.random() < 0.5:
        smooth = cv2.bilateralFilter(smooth, 5, strength, 1.5)
    return smooth.astype(np.float32) + rng.normal(0, 2.0, 3).astype(np.float32)


def _upsample(portrait: Portrait, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image reduced and enlarged, sometimes with a faint chequerboard."""
    side = portrait.image.shape[0]
    small = round(side / rng.uniform(1.7, 2.6))
    less = cv2.resize(portrait.image, (small, small), interpolation=cv2.INTER_AREA)
    way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST]))
    more = cv2.resize(less, (side, side), interpolation=way)
    if way == cv2.INTER_NEAREST:
        more = cv2.GaussianBlur(more, (0, 0), rng.uniform(0.6, 0.9))
    if rng.random() < 0.5:
        parity = (np.indices((side, side)).sum(0) % 2 * 2 - 1).astype(np.float32)
        return more + parity[..., None] * float(rng.uniform(1.0, 2.5))
    return more.astype(np.float32)


def _warp(portrait: Portrait, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with the area enlarged or shrunk, rotated and moved (resampled twice)."""
    side = portrait.image.shape[0]
    rows, columns = np.nonzero(weight)
    middle_x, middle_y = float(columns.mean()), float(rows.mean())
    line = np.arange(side, dtype=np.float32)
    across, down = np.meshgrid(line - middle_x, line - middle_y)
    grip = cv2.GaussianBlur(weight, (0, 0), 0.03 * side)
    swell = float(rng.choice([-1, 1])) * rng.uniform(0.12, 0.28)
    angle, (move_x, move_y) = rng.normal(0, 0.12), rng.normal(0, 0.012 * side, 2)
    from_x = line[None, :] - grip * (swell * across - angle * down + move_x)
    from_y = line[:, None] - grip * (swell * down + angle * across + move_y)
    half = np.float32(0.5)
    cut = cv2.remap(
        portrait.image.astype(np.float32),
        from_x.astype(np.float32) + half,
        from_y.astype(np.float32) + half,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    back = np.array([[1, 0, 0.5], [0, 1, 0.5]])
    return cv2.warpAffine(cut, back, (side, side), borderMode=cv2.BORDER_REFLECT_101)


_AREA_OF: dict[str, Callable[[Portrait, np.random.Generator], np.ndarray]] = {
    "half": _half,
    "eyes": _eyes,
    "mouth": _mouth,
    "inner": _inner,
    "blob": _blob,
}
_CHANGES: dict[str, Callable[[Portrait, np.ndarray, np.random.Generator], np.ndarray]] = {
    "blend": _blend,
    "smooth": _smooth,
    "upsample": _upsample,
    "warp": _warp,
}
