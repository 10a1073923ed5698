"""Weather effects: fog, clouds, frost, snow, snowflakes and rain, made from smooth noise.

Every function takes uint8 (H, W, 3) RGB and a random generator, and returns a new array. Sizes of
drops and flakes are fractions of the shorter side, so that crops and frames look alike.
"""

from __future__ import annotations

import cv2
import numpy as np

_ICE = np.array([205, 225, 240], dtype=np.float32)


def fog(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add a thin grey veil of uneven density over the whole image."""
    density = 0.15 + 0.35 * _smooth_noise(image.shape[:2], generator, coarsest=2)
    return _blend(image, 215.0, density)


def clouds(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add white patches with clear gaps between them."""
    field = _smooth_noise(image.shape[:2], generator, coarsest=3)
    return _blend(image, 250.0, np.clip(1.6 * field - 0.7, 0, 0.7))


def frost(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add bluish veins of ice, dense at the border."""
    height, width = image.shape[:2]
    field = _smooth_noise((height, width), generator, coarsest=6)
    veins = (1 - np.abs(2 * field - 1)) ** 4
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    border = np.clip(np.hypot(rows, columns), 0, 1)
    return _blend(image, _ICE, 0.55 * veins * border)


def snow(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add falling snow: short blurred streaks, and whiten the image a little."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    whitened = 0.85 * image + 0.15 * np.maximum(image, 0.5 * grey + 128)
    streaks = _streaks(image.shape[:2], generator, share=0.02, length=0.05, thickness=0.012)
    return _blend(whitened, 255.0, 0.8 * streaks)


def snowflakes(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add separate soft flakes of different sizes."""
    height, width = image.shape[:2]
    layer = np.zeros((height, width), dtype=np.float32)
    for _ in range(generator.integers(20, 60)):
        row, column = generator.integers(height), generator.integers(width)
        radius = max(1, round(min(height, width) * generator.uniform(0.004, 0.015)))
        cv2.circle(layer, (int(column), int(row)), radius, generator.uniform(0.5, 1), -1)
    return _blend(image, 255.0, cv2.GaussianBlur(layer, (3, 3), 0))


def rain(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add thin slanted streaks, and darken the image a little."""
    streaks = _streaks(image.shape[:2], generator, share=0.03, length=0.12, thickness=0.004)
    return _blend(0.9 * image.astype(np.float32), 200.0, 0.6 * streaks)


def _smooth_noise(
    size: tuple[int, int], generator: np.random.Generator, coarsest: int
) -> np.ndarray:
    """Return noise float32 (H, W) in [0, 1]: five octaves, each finer and half as strong."""
    total = np.zeros(size, dtype=np.float32)
    for octave in range(5):
        side = coarsest * 2**octave + 1
        cells = generator.random((side, side), dtype=np.float32)
        fine = cv2.resize(cells, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        total += fine / 2**octave
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def _streaks(
    size: tuple[int, int],
    generator: np.random.Generator,
    share: float,
    length: float,
    thickness: float,
) -> np.ndarray:
    """Return slanted streaks, float32 (H, W) in [0, 1].

    ``share`` is a fraction of the area; ``length`` and ``thickness`` of the shorter side.
    """
    layer, side = np.zeros(size, dtype=np.float32), min(size)
    reach, width = max(2.0, length * side), max(1, round(thickness * side))
    slant = np.pi / 2 + generator.uniform(-0.4, 0.4)
    for _ in range(max(1, round(share * size[0] * size[1] / (reach * width)))):
        left, top = generator.uniform(0, size[1]), generator.uniform(-reach, size[0])
        long = reach * generator.uniform(0.5, 1)
        end = round(left + long * np.cos(slant)), round(top + long * np.sin(slant))
        bright = generator.uniform(0.4, 1)
        cv2.line(layer, (round(left), round(top)), end, bright, width, cv2.LINE_8)
    return cv2.GaussianBlur(layer, (3, 3), 0)


def _blend(image: np.ndarray, colour: float | np.ndarray, density: np.ndarray) -> np.ndarray:
    """Blend a colour over the image, with a density (H, W) in [0, 1]."""
    share = density[..., None].astype(np.float32)
    return np.clip(image * (1 - share) + colour * share, 0, 255).astype(np.uint8)
