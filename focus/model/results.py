"""Results of a model on an image: faces with score, verdict and map. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from focus.data.cropping import Box, FaceBox, paste
from focus.errors import InputError
from focus.model.quality import Quality
from focus.model.verdicts import NO_SIGN, SIGNS, combine, judge
from focus.released.contents import Calibration, Limits
from focus.view.overlay import OPACITY, outline, overlay, resize_map

if TYPE_CHECKING:
    from PIL import Image

_LINE = 400  # pixels of a crop per pixel of an outline


@dataclass(frozen=True, eq=False)
class Face:
    """One face of an image.

    Attributes:
        box: left, top, right, bottom in pixels, right and bottom excluded: the square that was
            examined and that ``map`` covers. It may extend beyond the image.
        score: P(fake) in [0, 1]; calibrated if the model is.
        verdict: ``no sign of manipulation``, ``cannot say`` or ``signs of manipulation``.
        reason: why nothing can be said; empty for the other verdicts.
        map: float32 (h, w) in [0, 1], 1 = manipulated, on the network's own grid.
        mark: map value from which a pixel counts as marked.
        quality: measures of the face.
        distance: to the training images, about 1 for a similar one; NaN if not measured.
        detection: the detected face; None if the whole image was taken as one.
    """

    box: Box
    score: float
    verdict: str
    reason: str
    map: np.ndarray
    mark: float
    quality: Quality
    distance: float
    detection: FaceBox | None = None

    def map_at(self, size: tuple[int, int]) -> np.ndarray:
        """Return the map resized to (height, width), bilinearly; float32 in [0, 1].

        Raises:
            InputError: a size that is not two whole numbers above 0.
        """
        try:
            height, width = (int(side) for side in size)
        except (TypeError, ValueError):
            raise InputError(f"map_at({size!r}): give (height, width)") from None
        if height < 1 or width < 1:
            raise InputError(f"map_at({size!r}): height and width must be at least 1")
        return np.clip(resize_map(self.map, (height, width)), 0, 1)

    def judged(self, limits: Limits, calibration: Calibration | None) -> Face:
        """Return the face with probability, mark and verdict of a calibration; None: of none.

        Its own score must be the network's.
        """
        score, mark = self.score, self.mark
        if calibration is not None:
            score, mark = float(calibration.probability(np.array(score))), calibration.mark
        verdict, reason = judge(score, self.quality, self.distance, limits, calibration)
        return replace(self, score=score, mark=mark, verdict=verdict, reason=reason)

    @property
    def marked(self) -> np.ndarray:
        """The marked pixels: bool (h, w), ``map >= mark``."""
        return self.map >= self.mark

    @property
    def place(self) -> str:
        """Where to look, in words: the marked area, else the highest values."""
        marked = self.marked
        return describe_place(np.where(marked, self.map, 0) if marked.any() else self.map)

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"Face({self.verdict}{reason}, P={self.score:.2f}, box={self.box})"


@dataclass(frozen=True, eq=False)
class Result:
    """The faces that a model found in one image.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        faces: the largest first; empty if none was found.
        source: the file; empty for an image in memory.
    """

    image: np.ndarray
    faces: tuple[Face, ...]
    source: str = ""

    @property
    def verdict(self) -> str:
        """The gravest verdict of the faces; ``no face found`` without any."""
        return combine(face.verdict for face in self.faces)

    @property
    def map(self) -> np.ndarray:
        """The maps of all faces on the image: float32 (H, W) in [0, 1]; 0 outside the faces."""
        height, width = self.image.shape[:2]
        whole = np.zeros((height, width), np.float32)
        for face in self.faces:
            np.maximum(whole, paste(face.map, face.box, (height, width)), out=whole)
        return np.clip(whole, 0, 1)

    def overlay(self, opacity: float = OPACITY) -> Image.Image:
        """Return the image with its maps, and the marked area outlined, unless there is no sign.

        Args:
            opacity: opacity of a map value of 1, in [0, 1].

        Raises:
            InputError: an opacity out of range.
        """
        from PIL import Image

        if not 0 <= opacity <= 1:
            raise InputError(f"opacity {opacity}: must be in [0, 1]")
        return Image.fromarray(draw_maps(self.image, self.faces, opacity))

    def __repr__(self) -> str:
        name = f"{self.source}: " if self.source else ""
        return f"Result({name}{self.verdict}, {list(self.faces)})"


def draw_maps(image: np.ndarray, faces: tuple[Face, ...], opacity: float = OPACITY) -> np.ndarray:
    """Return a copy of an image (uint8 (H, W, 3)) with maps, and outlines of marked areas."""
    drawn = image.copy()
    height, width = image.shape[:2]
    for face in reversed(faces):  # the largest last, on top
        left, top, right, bottom = face.box
        rows = slice(max(top, 0), min(bottom, height))
        columns = slice(max(left, 0), min(right, width))
        inside = slice(rows.start - top, rows.stop - top)
        across = slice(columns.start - left, columns.stop - left)
        values = face.map_at((bottom - top, right - left))[inside, across]
        if not values.size:
            continue
        part = overlay(drawn[rows, columns], values, opacity)
        if face.verdict != NO_SIGN:
            thickness = max(1, round((bottom - top) / _LINE))
            part = outline(part, values >= face.mark, thickness=thickness)
        drawn[rows, columns] = part
    return drawn


def describe_place(values: np.ndarray) -> str:
    """Return the part of a face crop with the highest map values, in words.

    Left and right are those of the image. A map without contrast is "no particular place".
    """
    values = np.asarray(values, np.float64)
    rest = np.clip(values - np.quantile(values, 0.8), 0, None)
    if values.max() < 0.05 or rest.sum() <= 0:
        return "no particular place"
    rows = (np.arange(values.shape[0]) + 0.5) / values.shape[0]
    columns = (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    y = float((rest.sum(axis=1) * rows).sum() / rest.sum())
    x = float((rest.sum(axis=0) * columns).sum() / rest.sum())
    wide = np.sqrt((rest.sum(axis=0) * (columns - x) ** 2).sum() / rest.sum())
    tall = np.sqrt((rest.sum(axis=1) * (rows - y) ** 2).sum() / rest.sum())
    if wide > 0.2 and tall > 0.2:
        return "the whole face"
    down = "forehead" if y < 0.33 else "eyes" if y < 0.48 else "nose and cheeks"
    down = "mouth" if y > 0.62 else down
    down = "chin" if y > 0.78 else down
    side = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
    return f"{down}, {side} of the image" if side != "middle" else down


def summarise(face: Face) -> str:
    """Return the finding on a face in a line: verdict, P, and where to look or why not."""
    text = f"{face.verdict}, P(fake) {face.score:.2f}"
    if face.verdict == SIGNS:
        return f"{text}, look at: {face.place}"
    return f"{text} ({face.reason})" if face.reason else text
