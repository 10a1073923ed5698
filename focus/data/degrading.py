"""Image changes that forging and augmentation share. Imports no torch."""

from __future__ import annotations

import cv2
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114])
METHODS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
"""Ways to resize a photograph, for a random choice."""


def colour_change(
    contrast: float, saturation: float, hue: float, middle: np.ndarray, shift: np.ndarray | float
) -> np.ndarray:
    """Return an affine change of RGB, (3, 4), for ``cv2.transform``.

    Args:
        contrast: factor on the distance to ``middle``.
        saturation: factor on the distance to grey; 0: grey.
        hue: rotation about the grey axis, in radians.
        middle: (3,), the colour that contrast, saturation and hue leave as it is, if it is grey.
        shift: grey levels added in the end, of all channels or (3,).
    """
    grey = np.tile(_LUMA, (3, 1))
    # Rotation about the grey axis, by Rodrigues' formula.
    axis = np.full(3, 3**-0.5)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * axis
    turn = np.cos(hue) * np.eye(3) + np.sin(hue) * cross + (1 - np.cos(hue)) * np.outer(axis, axis)
    colour = contrast * (grey + saturation * (turn - grey @ turn))
    return np.column_stack([colour, middle - colour @ middle + shift])


def sharpen(image: np.ndarray, deviation: float, amount: float) -> np.ndarray:
    """Return an image, uint8 (h, w, 3), after unsharp masking.

    Args:
        image: the image.
        deviation: standard deviation of the blur in pixels; a large one raises local contrast.
        amount: factor on the difference to the blurred image.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), deviation)
    return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0))


def rescale(image: np.ndarray, factor: float, down: int, up: int) -> np.ndarray:
    """Shrink an image (h, w, 3) by ``factor``, then enlarge it, by methods of ``cv2.resize``."""
    height, width = image.shape[:2]
    small = max(round(width / factor), 1), max(round(height / factor), 1)
    less = cv2.resize(image, small, interpolation=down)
    return cv2.resize(less, (width, height), interpolation=up)


def recompress(image: np.ndarray, quality: int) -> np.ndarray:
    """Return an image, uint8 (h, w, 3) RGB, after JPEG (4:2:0 chroma) of a quality in [0, 100]."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB))
