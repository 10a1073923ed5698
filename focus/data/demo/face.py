"""Paint the flat face: colour, relief and gloss, in frontal view.

The canvas covers [-REACH, REACH] half head heights in x (right) and y (down);
the chin is at y = 1 and the top of the skull at -1. ``head`` wraps the canvas around a head.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from focus.data.demo.people import Person, Shot

SIDE = 240
REACH = 1.12
UNIT = SIDE / (2 * REACH)
_FRACTION_BITS = 4

Window = tuple[slice, slice]


def soft(values: np.ndarray) -> np.ndarray:
    """Return the smooth step of values: 0 for values <= 0, 1 for values >= 1."""
    clipped = np.clip(values, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def cloud(rng: np.random.Generator, cells: int, side: int) -> np.ndarray:
    """Return smooth noise, float32 (side, side), roughly standard normal, ``cells`` cells wide."""
    grid = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)


def mix(image: np.ndarray, colour: object, alpha: np.ndarray) -> None:
    """Paint ``colour`` over a float32 (H, W, 3) image where ``alpha`` (H, W) is not 0."""
    image += (np.asarray(colour, dtype=np.float32) - image) * alpha[..., None]


def paint_face(person: Person, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Paint one expression.

    Returns:
        Colour and gloss, float32 (SIDE, SIDE, 4) in [0, 1]: RGB and the strength of highlights;
        and the relief, float32 (SIDE, SIDE), in half head heights above the smooth head.
    """
    skin, relief = _skin(person)
    colour, relief = skin.copy(), relief.copy()
    gloss = 0.35 + 0.4 * _spot(0, 0.1, 0.16, 0.5) + 0.25 * _spot(0, -0.35, 0.45, 0.2)
    rng = np.random.default_rng((person.seed, 1))
    if person.masculine >= 0.6:
        _beard(colour, person, rng)
    _mouth(colour, relief, gloss, person, shot)
    _nostrils(colour, person)
    for side in (-1.0, 1.0):
        _eye(colour, gloss, person, shot, side)
        _brow(colour, person, shot, side, rng)
    if person.glasses:
        _glasses(colour, gloss, person)
    return np.clip(np.dstack([colour, gloss]), 0, 1), relief


@lru_cache(maxsize=1)
def _grid() -> tuple[np.ndarray, np.ndarray]:
    line = (np.arange(SIDE, dtype=np.float32) + 0.5) / UNIT - REACH
    x, y = np.meshgrid(line, line)
    return x, y


def _window(left: float, top: float, right: float, bottom: float) -> Window:
    """Return the rows and columns of a rectangle, to paint only that part of the canvas."""
    start = [max(int((value + REACH) * UNIT), 0) for value in (top, left)]
    stop = [min(int((value + REACH) * UNIT) + 1, SIDE) for value in (bottom, right)]
    return slice(start[0], stop[0]), slice(start[1], stop[1])


def _pixel(x: float, y: float) -> tuple[int, int]:
    """Return a point in OpenCV's fixed-point format, with ``_FRACTION_BITS`` fractional bits."""
    scale = UNIT * 2**_FRACTION_BITS
    return int((x + REACH) * scale), int((y + REACH) * scale)


def _spot(x: float, y: float, wide: float, high: float) -> np.ndarray:
    """Return a soft spot of height 1, float32 (SIDE, SIDE)."""
    grid_x, grid_y = _grid()
    row = np.exp(-(((grid_x[0] - x) / wide) ** 2))
    column = np.exp(-(((grid_y[:, 0] - y) / high) ** 2))
    return np.outer(column, row)


def _pair(x: float, y: float, wide: float, high: float) -> np.ndarray:
    return _spot(x, y, wide, high) + _spot(-x, y, wide, high)


def _ridge(distance: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


@lru_cache(maxsize=2)
def _skin(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Return bare skin and relief, the same in all images of a person."""
    rng = np.random.default_rng(person.seed)
    colour = np.empty((SIDE, SIDE, 3), dtype=np.float32)
    colour[:] = person.skin
    red = 0.5 * _pair(0.42, 0.32, 0.24, 0.20) + 0.55 * _spot(0, 0.36, 0.15, 0.12)
    red += 0.3 * _spot(0, 0.95, 0.25, 0.12) + 0.12 * cloud(rng, 9, SIDE)
    colour *= 1 + red[..., None] * np.array([0.05, -0.22, -0.20], np.float32) * 0.75 * person.blush
    colour *= (1 + 0.030 * cloud(rng, 7, SIDE) + 0.022 * cloud(rng, 30, SIDE))[..., None]
    tired = _pair(person.eye_gap, 0.10, 0.16, 0.06) * (0.08 + 0.14 * person.age)
    colour *= 1 - tired[..., None] * np.array([0.8, 1.0, 0.85], dtype=np.float32)
    _speckle(colour, person, rng)
    return colour, _relief(person)


def _speckle(colour: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    """Add freckles and a few moles."""
    dots = np.zeros((SIDE, SIDE), dtype=np.float32)

    def dot(x: float, y: float, radius: float, value: float) -> None:
        size = int(radius * UNIT * 2**_FRACTION_BITS)
        cv2.circle(dots, _pixel(x, y), size, value, -1, cv2.LINE_AA, _FRACTION_BITS)

    for _ in range(int(130 * person.freckles * (1 - person.darkness))):
        place = rng.normal(0, 0.36), rng.normal(0.22, 0.17)
        dot(*place, rng.uniform(0.006, 0.014), rng.uniform(0.15, 0.4))
    for _ in range(rng.poisson(1.2)):
        place = rng.uniform(-0.6, 0.6), rng.uniform(-0.4, 0.9)
        dot(*place, rng.uniform(0.010, 0.018), 0.65)
    mix(colour, np.multiply(person.skin, (0.62, 0.48, 0.42)), cv2.GaussianBlur(dots, (3, 3), 0.7))


def _relief(person: Person) -> np.ndarray:
    """Return the heights of sockets, brows, nose, cheeks and chin, float32 (SIDE, SIDE)."""
    x, y = _grid()
    tip = person.nose_length - 0.05
    down = soft(y[:, :1] / tip)
    rise = soft((y[:, :1] + 0.16) / (tip + 0.16)) * (1 - soft((y[:, :1] - tip + 0.03) / 0.13))
    relief = person.nose_bridge * _ridge(x, 0.075 + 0.045 * down) * rise * (0.07 + 0.10 * down)
    relief -= 0.075 * _pair(person.eye_gap, 0.02, 0.17, 0.10)
    relief += 0.040 * _pair(person.eye_gap, 0.03, 0.10, 0.06)
    relief += (0.020 + 0.022 * person.masculine) * _pair(0.26, -0.13, 0.22, 0.07)
    relief += 0.045 * _spot(0, tip, 0.09, 0.075)
    relief += 0.045 * _pair(person.nose_width * 0.75, tip + 0.035, 0.055, 0.05)
    relief += 0.045 * _pair(0.40, 0.28, 0.18, 0.15) - 0.025 * _pair(0.46, 0.60, 0.14, 0.2)
    relief += 0.040 * _spot(0, 0.66, 0.30, 0.16) - 0.016 * _spot(0, 0.53, 0.025, 0.05)
    relief += 0.060 * _spot(0, 0.93, 0.17, 0.09) - 0.030 * _spot(0, 0.80, 0.16, 0.045)
    for wrinkle in (-0.46, -0.38, -0.31):
        relief -= 0.012 * person.age**2 * _spot(0, wrinkle, 0.34, 0.012)
    return relief


def _mouth(
    colour: np.ndarray, relief: np.ndarray, gloss: np.ndarray, person: Person, shot: Shot
) -> None:
    window = _window(-0.42, 0.48, 0.42, 0.95)
    x, y = (values[window] for values in _grid())
    part, bumps, shine = colour[window], relief[window], gloss[window]
    happy = max(shot.smile, 0)
    width = person.mouth_width * (1 + 0.16 * happy)
    top, teeth_top, teeth_low, low = _lip_lines(np.clip(x[0] / width, -1, 1), person, shot)
    ends = soft((width - np.abs(x)) / 0.03)

    def below(line: np.ndarray, reach: float = 0.016) -> np.ndarray:
        return soft((y - line) / reach + 0.5)

    lip = np.array(person.lip, dtype=np.float32)
    lips = below(top) * (1 - below(low)) * ends
    shade = 1 - 0.18 * _ridge(y - teeth_top, 0.035) - 0.10 * (y < teeth_top)
    part += (lip * shade[..., None] - part) * (lips * (0.78 + 0.2 * person.makeup))[..., None]

    hole = below(teeth_top, 0.012) * (1 - below(teeth_low, 0.012)) * ends
    inside = np.clip((y - teeth_top) / max(float((teeth_low - teeth_top).max()), 1e-4), 0, 1)
    teeth = (1 - soft((inside - 0.62) / 0.2)) * soft((0.82 - np.abs(x / width)) / 0.25)
    teeth *= np.clip(0.5 + shot.smile, 0, 1)
    bite = 0.80 - 0.30 * (x / width) ** 2 - 0.18 * _ridge(inside, 0.2)
    mouth = np.full_like(part, (0.24, 0.09, 0.09))
    mouth += (bite[..., None] * np.array([1, 0.97, 0.9], np.float32) - mouth) * teeth[..., None]
    part += (mouth - part) * hole[..., None]
    seam = np.clip(0.55 * (_ridge(y - teeth_top, 0.012) + _ridge(y - teeth_low, 0.012)), 0, 0.75)
    mix(part, lip * 0.38, seam * soft((width + 0.015 - np.abs(x)) / 0.03))

    corner = _ridge(np.abs(x) - width, 0.035) * _ridge(y - 0.655 + 0.055 * shot.smile, 0.03)
    part *= 1 - 0.28 * corner[..., None]
    fold = np.abs(x) - (0.17 + 0.17 * soft((y - 0.40) / 0.35) + 0.03 * shot.smile)
    fade = soft((y - 0.49) / 0.1) * (1 - soft((y - 0.66) / 0.12))
    bumps -= (0.004 + 0.010 * happy + 0.010 * person.age) * _ridge(fold, 0.045) * fade
    bumps += 0.030 * _ridge(y - (top + teeth_top) / 2, 0.03) * ends
    swell = (teeth_low + low) / 2
    bumps += 0.042 * _ridge(y - swell, 0.035) * ends
    shine += 0.35 * lips * _ridge(y - swell, 0.02) * (0.4 + person.makeup)
    shine *= 1 - hole


def _lip_lines(
    along: np.ndarray, person: Person, shot: Shot
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return y of the upper lip's outer and inner and the lower lip's inner and outer edge."""
    arch = 1 - along * along
    middle = 0.655 - (0.012 + 0.09 * shot.smile) * along * along + 0.02 * shot.smile
    middle = middle + 0.010 * _ridge(along, 0.22) * (1 - shot.open_mouth)
    gap = 0.15 * shot.open_mouth * arch**0.8
    bow = (1 - 0.28 * _ridge(along, 0.16)) * (1 + 0.10 * _ridge(np.abs(along) - 0.3, 0.2))
    thin = 1 - 0.25 * max(shot.smile, 0)
    upper = person.lip_upper * thin * arch**0.75 * bow
    lower = person.lip_lower * thin * arch**0.7
    inner_top, inner_low = middle - 0.35 * gap, middle + 0.65 * gap
    return inner_top - upper, inner_top, inner_low, inner_low + lower


def _nostrils(colour: np.ndarray, person: Person) -> None:
    y = person.nose_length + 0.02
    holes = _pair(person.nose_width * 0.52, y, 0.038, 0.020)
    under = _spot(0, y + 0.012, person.nose_width * 0.85, 0.022)
    wings = _pair(person.nose_width * 1.05, y - 0.045, 0.018, 0.045)
    colour *= 1 - (0.16 * under + 0.16 * wings)[..., None]
    mix(colour, np.multiply(person.skin, (0.36, 0.22, 0.19)), np.clip(0.85 * holes, 0, 1))


def _eye(colour: np.ndarray, gloss: np.ndarray, person: Person, shot: Shot, side: float) -> None:
    """Paint one eye; ``side`` is -1 for the left of the canvas, 1 for the right."""
    centre_x, width = side * person.eye_gap, person.eye_width
    window = _window(centre_x - 0.30, -0.20, centre_x + 0.30, 0.22)
    x, y = (values[window] for values in _grid())
    part, shine = colour[window], gloss[window]
    skin = np.array(person.skin, dtype=np.float32)
    along = (x - centre_x) * (side / width)  # -1 at the nose, 1 at the temple
    y = y - 0.03 - person.eye_tilt * along * width
    arch = np.clip(1 - along * along, 0, None)
    height, happy = person.eye_height * shot.open_eyes, max(shot.smile, 0)
    top = -height * arch**0.62 * (1 + 0.10 * along)
    low = 0.62 * height * arch**0.8 * (1 - 0.06 * along) - 0.02 * happy * arch

    crease = top - person.eye_lid * np.clip(1.15 - 0.6 * along * along, 0, 1)
    near = soft((1.35 - np.abs(along)) / 0.35)
    lid = soft((y - crease) / 0.03 + 0.5) * soft((top - y) / 0.02 + 0.5) * near
    shadow = skin * ((0.62, 0.50, 0.50) if person.makeup > 0.4 else (0.86, 0.80, 0.80))
    mix(part, shadow, lid * (0.35 + 0.45 * person.makeup))
    mix(part, skin * (0.48, 0.36, 0.32), _ridge(y - crease, 0.011) * near * 0.55)
    bag = _ridge(y - low - 0.055, 0.014) * soft((1.0 - np.abs(along)) / 0.4)
    part *= 1 - (0.07 + 0.10 * person.age + 0.08 * happy) * bag[..., None]

    ball = soft((y - top) / 0.016 + 0.5) * soft((low - y) / 0.016 + 0.5) * (np.abs(along) < 1.02)
    white = np.full_like(part, (0.87, 0.84, 0.81))
    white *= (1 - 0.22 * along * along - 0.30 * _ridge(y - top, 0.028))[..., None]
    mix(white, (0.72, 0.42, 0.38), _ridge(along + 0.95, 0.14) * 0.7)
    look_x, look_y = 0.13 * shot.gaze[0], 0.06 * shot.gaze[1] - 0.012
    _iris(white, x - centre_x - look_x, y - look_y, person, shot)
    part += (white - part) * ball[..., None]
    shine *= 1 - ball

    heavy = (0.010 + 0.006 * person.makeup) * (1 + 0.5 * np.clip(along, 0, 1))
    lashes = _ridge(y - top + 0.004, heavy) * soft((1.10 - np.abs(along)) / 0.12)
    mix(part, (0.09, 0.06, 0.05), lashes * 0.92)
    rim = _ridge(y - low, 0.009) * soft((1.0 - np.abs(along)) / 0.2)
    mix(part, skin * (0.62, 0.42, 0.38), rim * 0.6)


def _iris(white: np.ndarray, x: np.ndarray, y: np.ndarray, person: Person, shot: Shot) -> None:
    radius = 0.40 * person.eye_width + 0.012
    distance = np.sqrt(x * x + y * y)
    ring = soft((distance - 0.72 * radius) / (0.3 * radius))
    glow = 0.85 + 0.75 * np.clip(y / radius, -0.4, 1) * (distance < radius)
    tone = np.array(person.iris, dtype=np.float32) * ((1 - 0.65 * ring) * glow)[..., None]
    mix(white, tone, soft((radius - distance) / 0.014 + 0.5))
    mix(white, (0.03, 0.025, 0.025), soft((0.43 * radius - distance) / 0.014 + 0.5))
    spark_x = math.copysign(0.36 * radius, shot.light[0])
    mix(white, (1.25, 1.25, 1.25), _ridge(x - spark_x, 0.017) * _ridge(y + 0.40 * radius, 0.017))


def _brow(
    colour: np.ndarray, person: Person, shot: Shot, side: float, rng: np.random.Generator
) -> None:
    strokes = np.zeros((SIDE, SIDE), dtype=np.float32)
    thick = person.brow_thickness
    for place in np.linspace(0, 1, 46).tolist():
        x = person.eye_gap - 0.17 + place * 0.40
        arch = 1.3 * person.brow_arch * math.sin(math.pi * min(place * 1.15, 1.0))
        y = 0.02 * place - person.brow_height - shot.brow_raise - arch
        y += rng.normal(0, 0.55) * thick * (1 - 0.75 * place)
        lean = 0.9 - 0.9 * place + rng.normal(0, 0.15)
        length = (0.055 - 0.015 * place) * rng.uniform(0.8, 1.2)
        start = _pixel(side * x, y + 0.3 * length * lean)
        end = _pixel(side * (x + length * (1 - 0.5 * lean)), y - 0.6 * length * lean)
        cv2.line(strokes, start, end, rng.uniform(0.45, 0.9), 1, cv2.LINE_AA, _FRACTION_BITS)
    hairs = cv2.GaussianBlur(strokes, (0, 0), 0.45 + 18 * thick)
    tone = np.multiply(person.hair_colour, 0.43) + np.multiply(person.skin, 0.12)
    mix(colour, tone, np.clip(hairs * (1.0 + 12 * thick), 0, 0.88))


def _beard(colour: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    x, y = _grid()
    jaw = soft((y - 0.42 - 0.25 * soft((0.5 - np.abs(x)) / 0.3)) / 0.12)
    area = soft(1.8 * _spot(0, 0.88, 0.24, 0.18)) if person.beard == "goatee" else jaw
    lip = soft(1.6 * _spot(0, 0.545, 0.24, 0.05))
    if person.beard in ("full", "goatee"):
        hairs = cv2.blur(rng.standard_normal((SIDE, SIDE), dtype=np.float32), (1, 7)) * 2.4
        alpha = np.maximum(area, lip) * np.clip(0.72 + 0.16 * hairs, 0, 0.95)
        mix(colour, np.multiply(person.hair_colour, 0.8), alpha)
        return
    strength = 0.6 if person.beard == "stubble" else 0.22
    area = strength * np.maximum(area, 0.6 * lip)
    alpha = area * np.clip(0.30 + 0.16 * cloud(rng, 110, SIDE), 0, 0.8)
    mix(colour, np.multiply(person.skin, (0.52, 0.50, 0.52)), alpha)


def _glasses(colour: np.ndarray, gloss: np.ndarray, person: Person) -> None:
    frame = np.zeros((SIDE, SIDE), dtype=np.float32)
    rng = np.random.default_rng((person.seed, 2))
    wide, high = rng.uniform(0.19, 0.23), rng.uniform(0.12, 0.19)
    squareness, thickness = 2 / rng.choice([2.0, 3.0, 5.0]), int(rng.integers(1, 3))
    angles = np.linspace(0, 2 * np.pi, 60)
    across, down = (np.sign(u) * np.abs(u) ** squareness for u in (np.cos(angles), np.sin(angles)))
    centre = person.eye_gap + 0.01
    for side in (-1, 1):
        outline = [
            _pixel(side * centre + wide * u, 0.05 + high * v)
            for u, v in zip(across.tolist(), down.tolist(), strict=True)
        ]
        points = [np.array(outline, dtype=np.int32)]
        cv2.polylines(frame, points, True, 1.0, thickness, cv2.LINE_AA, _FRACTION_BITS)
    for left, right in ((wide - centre, centre - wide), (centre + wide, 0.85)):
        for side in (-1, 1):
            ends = _pixel(side * left, 0.0), _pixel(side * right, 0.0)
            cv2.line(frame, *ends, 1.0, 2, cv2.LINE_AA, _FRACTION_BITS)
    shade = cv2.GaussianBlur(np.roll(frame, 4, axis=0), (0, 0), 2.5)
    colour *= 1 - 0.25 * shade[..., None]
    tones = ((0.07, 0.06, 0.06), (0.28, 0.16, 0.09), (0.45, 0.43, 0.42))
    mix(colour, tones[int(rng.integers(3))], np.clip(frame, 0, 1))
    gloss += 0.5 * frame
