"""Photometric augmentation: random changes as by cameras, platforms and players.

A draw is a plain value, so that the two faces of a pair can share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.degrading import METHODS, colour_change, recompress, rescale, sharpen

ODDS = {
    "colour": 0.5,
    "grey": 0.05,
    "tone": 0.25,
    "blur": 0.2,
    "rescale": 0.25,
    "noise": 0.2,
    "sharpen": 0.25,
    "jpeg": 0.5,
    "hole": 0.15,
}
"""Probability of each change."""
QUALITIES = (30, 100)
SIGMAS = (0.004, 0.015)
"""Standard deviation of the blur, relative to the shorter side."""
SHARPNESS = (0.003, 0.06)
"""The same of unsharp masking: from fine sharpening to local contrast; drawn on a log scale."""
AMOUNTS = (0.2, 1.2)
"""Strength of the unsharp masking."""
GAMMAS = (0.6, 1.6)
"""Exponents of the tone curve, drawn on a log scale."""
FACTORS = (1.2, 3.0)
NOISES = (1.0, 10.0)
"""Standard deviation of the noise, in grey levels."""
BRIGHTNESS, CONTRAST, SATURATION, HUE = 25.0, 0.25, 0.3, 0.12
"""Largest changes: grey levels, shares, and radians about the grey axis."""
HOLES = (0.1, 0.3)
"""Sides of a cut-out, as shares of the image's."""


@dataclass(frozen=True)
class Photometric:
    """The changes of one draw; None: this one is left out.

    colour: (3, 4) matrix about mid-grey.  tone: exponent of the tone curve.  blur: as ``SIGMAS``.
    rescale: factor, and the methods down and up.  noise: standard deviation and seed.  sharpen: as
    ``SHARPNESS`` and ``AMOUNTS``.  jpeg: quality.  hole: left, top, right and bottom as shares of
    the image, and its grey level.
    """

    colour: np.ndarray | None = None
    tone: float | None = None
    blur: float | None = None
    rescale: tuple[float, int, int] | None = None
    noise: tuple[float, int] | None = None
    sharpen: tuple[float, float] | None = None
    jpeg: int | None = None
    hole: tuple[float, float, float, float, int] | None = None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return a changed image, uint8 (H, W, 3), RGB, of the same size."""
        if self.colour is not None:
            image = cv2.transform(image, self.colour)
        if self.tone is not None:
            levels = np.linspace(0, 1, 256) ** self.tone
            image = np.asarray(cv2.LUT(image, np.rint(255 * levels).astype(np.uint8)))
        if self.blur is not None:
            image = cv2.GaussianBlur(image, (0, 0), self.blur * min(image.shape[:2]))
        if self.rescale is not None:
            image = rescale(image, *self.rescale)
        if self.noise is not None:
            deviation, seed = self.noise
            grain = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
            mixed = cv2.addWeighted(image, 1.0, grain, deviation, 0, dtype=cv2.CV_8U)
            image = np.asarray(mixed)
        if self.sharpen is not None:
            deviation, amount = self.sharpen
            image = sharpen(image, deviation * min(image.shape[:2]), amount)
        if self.jpeg is not None:
            image = recompress(image, self.jpeg)
        return self._cut(image)

    def _cut(self, image: np.ndarray) -> np.ndarray:
        if self.hole is None:
            return image
        height, width = image.shape[:2]
        left, top, right, bottom, level = self.hole
        image = image.copy()
        image[
            round(top * height) : round(bottom * height), round(left * width) : round(right * width)
        ] = level
        return image

    def hide(self, values: np.ndarray) -> np.ndarray:
        """Return a map or mask (h, w[, 1]) of the image, 0 under the cut-out."""
        if self.hole is None:
            return values
        left, top, right, bottom, _ = self.hole
        down, across = (
            _cover(low, high, count)
            for low, high, count in zip((top, left), (bottom, right), values.shape[:2], strict=True)
        )
        kept = (1 - np.outer(down, across)).astype(np.float32)
        if values.ndim == 3:
            kept = kept[..., None]
        return (values * kept).astype(values.dtype)


def draw_photometric(rng: np.random.Generator) -> Photometric:
    """Return a random draw; it uses the same random numbers whatever is left out."""
    on = dict(zip(ODDS, rng.random(len(ODDS)) < np.array(list(ODDS.values())), strict=True))
    colour = _draw_colour(rng, on["grey"])
    methods = [METHODS[int(number)] for number in rng.integers(len(METHODS), size=2)]
    rescale = float(rng.uniform(*FACTORS)), methods[0], methods[1]
    blur, noise = float(rng.uniform(*SIGMAS)), float(rng.uniform(*NOISES))
    seed, level = int(rng.integers(2**62)), int(rng.integers(256))
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    sides = rng.uniform(*HOLES, 2)
    left, top = rng.uniform(0, 1 - sides)
    tone, sharpness = np.exp([rng.uniform(*np.log(limits)) for limits in (GAMMAS, SHARPNESS)])
    amount = float(rng.uniform(*AMOUNTS))
    hole = float(left), float(top), float(left + sides[0]), float(top + sides[1]), level
    return Photometric(
        colour if on["colour"] or on["grey"] else None,
        float(tone) if on["tone"] else None,
        blur if on["blur"] else None,
        rescale if on["rescale"] else None,
        (noise, seed) if on["noise"] else None,
        (float(sharpness), amount) if on["sharpen"] else None,
        quality if on["jpeg"] else None,
        hole if on["hole"] else None,
    )


def _draw_colour(rng: np.random.Generator, is_grey: bool) -> np.ndarray:
    """Return an affine colour change (3, 4): contrast, saturation, hue and brightness."""
    contrast, saturation = 1 + np.array([CONTRAST, SATURATION]) * rng.uniform(-1, 1, 2)
    shift, angle = np.array([BRIGHTNESS, HUE]) * rng.uniform(-1, 1, 2)
    return colour_change(contrast, 0 if is_grey else saturation, angle, np.full(3, 128.0), shift)


def _cover(low: float, high: float, count: int) -> np.ndarray:
    """Return the share of each of ``count`` cells of [0, 1] that [low, high] covers."""
    edges = np.linspace(0, 1, count + 1)
    overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.clip(overlap * count, 0, 1)
