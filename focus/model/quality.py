"""Measures of a face that decide whether a model can judge it. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.cropping import Box, FaceBox, crop
from focus.errors import InputError
from focus.released.contents import Limits

_SIDE = 112  # pixels at which sharpness, colour and flatness are measured


@dataclass(frozen=True)
class Quality:
    """Measures of one face."""

    side: float
    """Longer side of the detected box, in pixels of the image."""
    detection: float
    """Score of the face detector, in [0, 1]; 1 without a detector."""
    sharpness: float
    """Deviation of the Laplacian divided by that of the brightness, at 112 pixels."""
    chroma: float
    """Spread of colour: root of the summed variances of Cb and Cr, plus their mean distance from
    grey. 0 for a grey image."""
    flatness: float
    """Share of pixels whose 3 x 3 neighbourhood has one grey level only, in [0, 1]."""
    contrast: float
    """Standard deviation of the brightness, in grey levels."""
    turn: float
    """Offset of the nose from the middle of the eyes, along the line between them, in distances of
    the eyes: 0 for a frontal face, 0.5 if the nose is below an eye."""


def measure_quality(image: np.ndarray, box: Box, face: FaceBox | None) -> Quality:
    """Measure a face.

    Args:
        image: uint8 (H, W, 3), RGB.
        box: the face, in pixels; the part inside the image is measured.
        face: the detection; None if the box is given.
    """
    height, width = image.shape[:2]
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    if face is not None:  # without the margin
        left, top = max(round(face.left), 0), max(round(face.top), 0)
        right, bottom = min(round(face.right), width), min(round(face.bottom), height)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    part = crop(image, (left, top, right, bottom))
    shrinks = max(part.shape[:2]) > _SIDE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    part = cv2.resize(part, (_SIDE, _SIDE), interpolation=method)
    planes = cv2.cvtColor(part, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    grey, colours = planes[..., 0], planes[..., 1:] - 128
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    kernel = np.ones((3, 3), np.uint8)
    span = cv2.dilate(grey, kernel) - cv2.erode(grey, kernel)
    spread = float(np.sqrt(colours.var(axis=(0, 1)).sum()))
    side = max(right - left, bottom - top)
    if face is not None:
        side = max(face.right - face.left, face.bottom - face.top)
    return Quality(
        side=float(side),
        detection=1.0 if face is None else face.score,
        sharpness=float(edges.std() / (grey.std() + 1)),
        chroma=spread + float(np.linalg.norm(colours.mean(axis=(0, 1)))),
        flatness=float((span == 0).mean()),
        contrast=float(grey.std()),
        turn=0.0 if face is None or face.points is None else measure_turn(face.points),
    )


def measure_turn(points: np.ndarray) -> float:
    """Return how far a head is turned sideways, from five points (5, 2); see :class:`Quality`."""
    eyes = points[1] - points[0]
    length = float(np.linalg.norm(eyes))
    if length < 1e-6:
        return 10.0
    return abs(float((points[2] - (points[0] + points[1]) / 2) @ eyes)) / length**2


def fit_limits(
    qualities: Sequence[Quality],
    distances: Sequence[float] = (),
    share: float = 0.01,
    side: float = Limits.side,
) -> Limits:
    """Return limits that keep all but a share of the validation faces for each measure.

    A limit is never stricter than the default of :class:`~focus.released.contents.Limits`, except
    for the distance, which has none.

    Args:
        qualities: of real validation faces.
        distances: of the same or of all validation faces to the training images; empty: not
            checked.
        share: share of faces beyond each limit, in (0, 0.5).
        side: smallest side of a face in pixels.

    Raises:
        InputError: no faces, or a share out of range.
    """
    if not qualities or not 0 < share < 0.5:
        raise InputError("limits need validation faces and a share in (0, 0.5)")
    plain = Limits()

    def quantile(name: str, at: float) -> float:
        return float(np.quantile([getattr(each, name) for each in qualities], at))

    return Limits(
        side=side,
        detection=min(plain.detection, quantile("detection", share)),
        sharpness=min(plain.sharpness, quantile("sharpness", share)),
        chroma=min(plain.chroma, quantile("chroma", share)),
        contrast=min(plain.contrast, quantile("contrast", share)),
        flatness=max(plain.flatness, quantile("flatness", 1 - share)),
        turn=max(plain.turn, quantile("turn", 1 - share)),
        distance=float(np.quantile(distances, 1 - share)) if len(distances) else 0.0,
    )
