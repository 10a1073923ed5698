"""Outline, eyes and mouth of a face in an image, from 68 landmarks or from its box."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from focus.data.videos import silence_opencv
from focus.errors import InputError

LANDMARKS_VARIABLE = "FOCUS_LANDMARKS"
MARGIN = 1.3
"""An image is assumed to be a face box enlarged by this factor, as ``--crop faces`` cuts it."""
_JAW, _BROWS, _EYES, _MOUTH = slice(17), slice(17, 27), slice(36, 48), slice(48, 68)
_FOREHEAD = 0.55
_INPUT = 112
_INPUT_MARGIN = 1.1
_PASSES = 2
"""The second pass frames the face by the points of the first, so that any crop margin works."""
_ADVICE = f"pass an ONNX model of 68 points with --landmarks FILE or ${LANDMARKS_VARIABLE}"


@dataclass(frozen=True)
class FaceShape:
    """Positions of the parts of a face; all arrays float32 (N, 2), x and y in pixels.

    Attributes:
        outline: convex polygon around the face, from the middle of the forehead to the chin.
        eyes: points around the eyes and brows.
        mouth: points around the mouth.
        points: the 68 landmarks in their usual order, if known.
    """

    outline: np.ndarray
    eyes: np.ndarray
    mouth: np.ndarray
    points: np.ndarray | None = None

    @cached_property
    def size(self) -> float:
        """The side in pixels of a square with the area of the face."""
        return float(np.sqrt(cv2.contourArea(self.outline)))

    @cached_property
    def up(self) -> np.ndarray:
        """The unit vector from the mouth to the eyes."""
        direction = self.eyes.mean(0) - self.mouth.mean(0)
        return direction / max(float(np.linalg.norm(direction)), 1e-6)

    def moved(self, right: float, down: float) -> FaceShape:
        """Return the shape translated by (right, down) pixels."""
        shift = np.array([right, down], np.float32)
        points = None if self.points is None else self.points + shift
        return FaceShape(self.outline + shift, self.eyes + shift, self.mouth + shift, points)

    @classmethod
    def from_points(cls, points: np.ndarray) -> FaceShape:
        """Build the shape from landmarks (68, 2) in pixels; derive the forehead from the brows."""
        points = points.astype(np.float32)
        eyes = np.concatenate([points[_BROWS], points[_EYES]])
        rise = points[_EYES].mean(0) - points[_MOUTH].mean(0)
        brows = points[_BROWS]
        forehead = brows.mean(0) + 0.8 * (brows - brows.mean(0)) + _FOREHEAD * rise
        outline = cv2.convexHull(np.concatenate([points[_JAW], brows, forehead]))
        return cls(outline.reshape(-1, 2), eyes, points[_MOUTH], points)

    @classmethod
    def from_box(cls, height: int, width: int) -> FaceShape:
        """Build an elliptical shape for a face that fills an image up to the usual margin."""
        side = min(height, width) / MARGIN
        middle = np.array([(width - 1) / 2, (height - 1) / 2])

        def ellipse(x: float, y: float, across: float, down: float) -> np.ndarray:
            turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
            at = np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)
            return (middle + side * at).astype(np.float32)

        sides = [ellipse(x, -0.10, 0.13, 0.10) for x in (-0.17, 0.17)]
        return cls(
            ellipse(0, 0.04, 0.37, 0.47), np.concatenate(sides), ellipse(0, 0.26, 0.15, 0.07)
        )


class LandmarkModel:
    """A network of 68 landmarks (such as PFLD), run by OpenCV: 4 ms a pass on one core.

    Its input is (1, 3, 112, 112), RGB in [0, 1]: the square around the face box, enlarged 1.1
    times. Its output is 136 numbers, x and y of each point in units of that square.

    Raises:
        InputError: no such file, or not a network with this input and output.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise InputError(f"no landmark model at {weights}; {_ADVICE}")
        try:
            with silence_opencv():
                self._network = cv2.dnn.readNetFromONNX(str(weights))
                count = self._predict(np.zeros((_INPUT, _INPUT, 3), np.uint8)).size
        except cv2.error:
            count = 0
        if count != 136:
            raise InputError(
                f"--landmarks {weights}: not an ONNX model of 68 points at 112 x 112 pixels"
            )

    def find(self, image: np.ndarray) -> np.ndarray:
        """Return the landmarks, float32 (68, 2), of the face in a crop (uint8, RGB)."""
        height, width = image.shape[:2]
        x, y, side = (width - 1) / 2, (height - 1) / 2, min(height, width) / MARGIN
        for _ in range(_PASSES):
            scale = _INPUT / (_INPUT_MARGIN * side)
            shift = _INPUT / 2 - 0.5 - scale * np.array([x, y])
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            square = cv2.warpAffine(image, matrix, (_INPUT, _INPUT), flags=method)
            points = (self._predict(square).reshape(68, 2) * _INPUT - shift) / scale
            (left, top), (right, bottom) = points.min(0), points.max(0)
            x, y, side = (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top, 1)
        return points.astype(np.float32)

    def _predict(self, square: np.ndarray) -> np.ndarray:
        self._network.setInput(cv2.dnn.blobFromImage(square, 1 / 255))
        return self._network.forward()


def find_landmark_weights(given: Path | None) -> Path | None:
    """Return the landmark model's file: the given one, else ``$FOCUS_LANDMARKS``, else None."""
    name = given or os.environ.get(LANDMARKS_VARIABLE, "")
    return Path(name) if name else None
