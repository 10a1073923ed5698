"""Cut boxes out of frames, and paste maps of crops back into the frame.

A box is (left, top, right, bottom) in pixels of the frame, right and bottom excluded. It may extend
beyond the frame: a crop and its map always have the geometry of the full box.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

Box = tuple[int, int, int, int]
_Slices = tuple[slice, slice]
PADDED = "padded"
"""Column for the edges of the image within a crop; empty for most crops."""
LARGEST_SIDE = 1280
"""Longer side, in pixels, to which larger images are reduced for detectors."""


class FaceBox(NamedTuple):
    """A detected face, in pixels of the image; the box may extend beyond it."""

    left: float
    top: float
    right: float
    bottom: float
    score: float
    points: np.ndarray | None = None
    """float32 (5, 2), x and y: eyes, nose, corners of the mouth, each pair left to right."""

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """Cut a box out of an image or its mask.

    Beyond its edge the image is reflected, however far the box extends: a black area would be an
    artefact. A mask is reflected in the same way, so that both agree.

    Args:
        image: (H, W) or (H, W, C), of any type; not empty.
        box: not empty.

    Returns:
        (bottom - top, right - left[, C]) of the same type.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right].copy()
    return image[_reflect(top, bottom, height)[:, None], _reflect(left, right, width)]


def _reflect(first: int, last: int, length: int) -> np.ndarray:
    """Return the reflected indices of ``range(first, last)`` on an axis: ... 2 1 0 1 2 ..."""
    period = max(2 * (length - 1), 1)
    places = np.arange(first, last) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros_like(places)


def measure_padding(box: Box, size: tuple[int, int]) -> float:
    """Return the share of a box outside an image of (height, width), in [0, 1]."""
    left, top, right, bottom = box
    (rows, columns), _ = _overlap(box, size)
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    return 1 - inside / ((bottom - top) * (right - left))


def describe_padding(box: Box, size: tuple[int, int]) -> str:
    """Return the edges of the image of (height, width) within a box, for column ``padded``.

    Returns:
        "left top right bottom" as shares of the box, such as "0.25 0 1 0.9"; empty if the box does
        not extend beyond the image.
    """
    left, top, right, bottom = box
    _, (rows, columns) = _overlap(box, size)
    width, height = right - left, bottom - top
    edges = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
    return "" if edges == (0, 0, 1, 1) else " ".join(f"{edge:.6g}" for edge in edges)


def locate_padding(text: str, size: tuple[int, int]) -> np.ndarray | None:
    """Return the pixels of a crop that lie beyond the edge of its image.

    Args:
        text: a value of column ``padded``, from :func:`describe_padding`.
        size: (height, width) of the crop, its mask or its map.

    Returns:
        bool (height, width); None if there are none, or if the text is not four shares.
    """
    try:
        left, top, right, bottom = (float(edge) for edge in text.split())
    except ValueError:
        return None
    rows, columns = ((np.arange(length) + 0.5) / length for length in size)
    outside: np.ndarray = (
        ((rows < top) | (rows >= bottom))[:, None] | (columns < left) | (columns >= right)
    )
    return outside if outside.any() else None


def measure_cover(mask: np.ndarray, box: Box) -> float:
    """Return the share of a box that a mask (bool (H, W)) marks; outside it, nothing is marked."""
    left, top, right, bottom = box
    (rows, columns), _ = _overlap(box, (mask.shape[0], mask.shape[1]))
    return float(mask[rows, columns].sum()) / ((bottom - top) * (right - left))


def paste(values: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """Paste the map of a crop into the frame that the crop was cut from.

    Args:
        values: float (h, w), any grid; it is resized to the box, bilinearly.
        box: box of the crop.
        size: (height, width) of the frame.

    Returns:
        float32 (height, width); 0 outside the box.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    finer = values.shape[0] > height
    resized = cv2.resize(
        np.ascontiguousarray(values, np.float32),
        (width, height),
        interpolation=cv2.INTER_AREA if finer else cv2.INTER_LINEAR,
    )
    frame = np.zeros(size, np.float32)
    inside_frame, inside_box = _overlap(box, size)
    frame[inside_frame] = resized[inside_box]
    return frame


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """Resize a uint8 image to side x side: area averaging when it shrinks, else bicubic."""
    shrinks = side < max(image.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=method)


def format_box(box: Box) -> str:
    """Format a box for the column ``box``: "left top right bottom"."""
    return " ".join(map(str, box))


def parse_box(text: str) -> Box:
    """Parse a box formatted by :func:`format_box`.

    Raises:
        ValueError: not four whole numbers.
    """
    left, top, right, bottom = map(int, text.split())
    return left, top, right, bottom


def _overlap(box: Box, size: tuple[int, int]) -> tuple[_Slices, _Slices]:
    """Return the rows and columns shared by box and frame, in frame and in box coordinates."""
    left, top, right, bottom = box
    first, last = (min(max(edge, 0), size[0]) for edge in (top, bottom))
    start, end = (min(max(edge, 0), size[1]) for edge in (left, right))
    in_frame = slice(first, last), slice(start, end)
    in_box = slice(first - top, last - top), slice(start - left, end - left)
    return in_frame, in_box
