"""Self-blends: an image blended with a variant of itself, under a soft mask.

The method is known as self-blended images (Shiohara and Yamasaki, Detecting Deepfakes with
Self-Blended Images, CVPR 2022). There, either side of the blend may be varied; here, only the
inserted content is, so that the image is unchanged outside the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.degrading import METHODS, colour_change, recompress, rescale, sharpen
from focus.data.forging.areas import Area, random_area
from focus.data.landmarks import FaceShape


@dataclass(frozen=True)
class Forgery:
    """A forged image and its mask.

    image: uint8 (H, W, 3), RGB; equal to the original outside the mask.
    mask: bool (H, W), where the forged content has a weight of 0.05 or more.
    """

    image: np.ndarray
    mask: np.ndarray


def composite(image: np.ndarray, content: np.ndarray, area: Area) -> Forgery:
    """Blend ``content`` (uint8 or float (h, w, 3), the area's window) into an image."""
    rows, columns = area.window
    below = image[rows, columns].astype(np.float32)
    mixed = below + (content - below) * area.weight[..., None]
    forged, mask = image.copy(), np.zeros(image.shape[:2], bool)
    forged[rows, columns] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    mask[rows, columns] = area.weight > 0
    return Forgery(forged, mask)


def measure_change(image: np.ndarray, forgery: Forgery) -> float:
    """Return the mean absolute change inside the mask, in grey levels; 0 for an empty mask."""
    change = cv2.mean(cv2.absdiff(image, forgery.image), forgery.mask.astype(np.uint8))
    return sum(change) / 3


def blend_with_itself(
    image: np.ndarray, shape: FaceShape, part: str, rng: np.random.Generator
) -> Forgery:
    """Forge an image with a variant of itself.

    Args:
        image: uint8 (H, W, 3), RGB; not modified.
        shape: the face.
        part: ``face`` or one of :data:`focus.data.forging.areas.PARTS`.
        rng: random generator for area and variant.
    """
    area = random_area(shape, part, image.shape[:2], rng)
    if area.weight.size == 0:
        return Forgery(image, np.zeros(image.shape[:2], bool))
    return composite(image, vary(image[area.window], shape.size, rng), area)


def vary(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Return a random variant of an image (uint8 (h, w, 3), RGB): moved, recoloured, degraded.

    ``size`` is the face size in pixels; movements and blurs scale with it.
    """
    if rng.random() < 0.8:
        image = _move(image, size, rng)
    image = cv2.transform(image, _random_colours(image, rng))
    changes = [_resharpen, _resample, _compress]
    for number in rng.permutation(len(changes))[: 1 + (rng.random() < 0.4)]:
        image = changes[number](image, size, rng)
    return image


def _move(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate, scale, shift and deform slightly; mirror at the border."""
    height, width = image.shape[:2]
    angle, scale = rng.normal(0, 1.5), float(np.exp(rng.normal(0, 0.02)))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    shift = rng.normal(0, 0.015 * size, 2)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    field = rng.normal(0, 0.01 * size, (5, 5, 2)).astype(np.float32)
    moves = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    (a, b, c), (d, e, f) = matrix.tolist()
    at_x = a * x + b * y + moves[..., 0] + float(c + shift[0])
    at_y = d * x + e * y + moves[..., 1] + float(f + shift[1])
    return cv2.remap(image, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _random_colours(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random affine colour change (3, 4): contrast, saturation, hue, brightness, RGB."""
    strength = rng.uniform(0.3, 1.0)
    contrast = float(np.exp(strength * rng.normal(0, 0.10)))
    saturation = float(np.exp(strength * rng.normal(0, 0.22)))
    hue = strength * rng.normal(0, 0.07)
    mean = np.array(cv2.mean(image)[:3])
    shift = strength * (rng.normal(0, 8) + rng.normal(0, 4, 3))
    return colour_change(contrast, saturation, hue, mean, shift)


def _resharpen(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    sigma = rng.uniform(0.5, 0.9) + 0.006 * size * rng.random()
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    return sharpen(image, sigma, rng.uniform(0.5, 1.5))


def _resample(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    factor = rng.uniform(1.3, 2.2)
    down, up = (METHODS[int(number)] for number in rng.integers(len(METHODS), size=2))
    return rescale(image, factor, down, up)


def _compress(image: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    return recompress(image, int(rng.integers(35, 90)))
