"""What images show: face crops or whole photographs and frames; photographed or drawn faces.

A training records it, so that a warning can be given where the model meets other images.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from focus.data.face_detection import (
    DEFAULT_FACE_DETECTOR,
    FaceDetector,
    enlarge,
    open_face_detector,
)
from focus.data.images import read_face
from focus.data.index import FaceIndex
from focus.errors import UnreadableError

DRAWN = "drawn"
"""Column of an index whose faces are drawn: not empty."""
_SAMPLED, _EXAMINED = 8, 4
_CROP_SHARE = 0.7
_SMALL = 160  # pixels of the shorter side below which an image is a crop


class Subject(NamedTuple):
    """What the images of an index show."""

    whole: bool
    """Photographs or frames in which the faces are small, in place of face crops."""
    drawn: bool
    """Drawn faces, such as those of the demo corpus."""


def describe_subject(index: FaceIndex) -> Subject:
    """Return what the images show, from the index and a look at up to four of them.

    Rows with a box are crops, and so are images below 160 pixels.
    """
    drawn = len(index) > 0 and all(index.column(DRAWN))
    if len(index) == 0 or any(index.column("box")):
        return Subject(False, drawn)
    return Subject(are_whole(index, None, _EXAMINED, _SMALL), drawn)


def are_whole(
    index: FaceIndex, detector: FaceDetector | None, count: int = _SAMPLED, small: int = 0
) -> bool:
    """Return whether the images are photographs rather than face crops.

    The largest face of evenly spaced images is detected. They are photographs if its square, 1.3
    times as large, has a median side below 0.7 of the image's shorter one.

    Args:
        index: the images; a row without a face, or one that cannot be read, does not count.
        detector: finds the faces; None: the built-in one.
        count: number of images to examine.
        small: images with a shorter side below this many pixels are crops.
    """
    places = np.linspace(0, len(index) - 1, min(len(index), count)).round().astype(int)
    shares = []
    for key in (index.keys[place] for place in places.tolist()):
        with suppress(UnreadableError):  # reported where the images are read
            image = read_face(index.root, key)
            side = min(image.shape[:2])
            if side < small:
                return False
            detector = detector or open_face_detector(DEFAULT_FACE_DETECTOR)
            for left, _, right, _ in [enlarge(face) for face in detector.detect(image)[:1]]:
                shares.append((right - left) / side)
    return bool(shares) and float(np.median(shares)) < _CROP_SHARE


def list_mismatches(trained: object, index: FaceIndex) -> list[str]:
    """Return a warning for each way in which images differ from those of the training.

    Args:
        trained: :class:`Subject` of the training as a mapping; anything else: not recorded.
        index: the images that the model is given.
    """
    if not isinstance(trained, Mapping) or not trained:
        return []
    here, lines = describe_subject(index), []
    if here.whole and not trained.get("whole"):
        lines.append(
            "whole images are given to a model of face crops: its scores and maps mean little; "
            "use --crop faces or focus prepare"
        )
    if trained.get("drawn") and not here.drawn:
        lines.append(
            "photographs are given to a model of drawn faces: its scores and maps mean nothing"
        )
    if here.drawn and not trained.get("drawn"):
        lines.append("drawn faces are given to a model of photographs: its scores mean little")
    return lines
