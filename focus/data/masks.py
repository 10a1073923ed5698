"""Masks as polygons and as run lengths, in the formats of COCO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from focus.errors import count_of

# Oversampling of polygons: OpenCV fills their border pixels too.
_OVERSAMPLING = 4


def draw_polygons(polygons: Iterable[np.ndarray], box: Sequence[int]) -> np.ndarray:
    """Rasterise polygons within a box (left, top, right, bottom): bool (H, W).

    A pixel is set if half of it is covered. Polygons, float (N, 2), may extend outside the box and
    may overlap.
    """
    left, top, right, bottom = box
    fine = np.zeros(((bottom - top) * _OVERSAMPLING, (right - left) * _OVERSAMPLING), np.uint8)
    for polygon in polygons:
        corners = np.round((polygon - (left, top)) * _OVERSAMPLING - 0.5).astype(np.int32)
        cv2.fillPoly(fine, [corners], 255)
    return cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA) > 127


def encode_rle(mask: np.ndarray) -> str:
    """Return the compressed counts of a mask.

    Pixels are read in column-major order; counts are run lengths, starting with a run of zeros
    (0 if the mask begins with a one). From the fourth on, a count is stored as its difference from
    the count two positions before. Each number is split into groups of five bits, lowest first,
    the last carrying the sign; a sixth bit marks that more groups follow, and 48 is added to make
    a printable character.

    Args:
        mask: bool (H, W).

    Returns:
        ASCII text: the ``counts`` that accompany ``size`` [H, W].
    """
    pixels = np.asarray(mask, dtype=bool).ravel(order="F")
    turns = np.flatnonzero(np.diff(pixels, prepend=False))
    counts = np.diff(turns, prepend=0, append=pixels.size).tolist()
    text = bytearray()
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            group, value = value & 31, value >> 5
            # The sign is in the fifth bit: nothing is left when all higher bits repeat it.
            if value == (-1 if group & 16 else 0):
                text.append(group + 48)
                break
            text.append(group + 32 + 48)
    return text.decode("ascii")


def decode_rle(counts: str | Sequence[int], height: int, width: int) -> np.ndarray:
    """Return the mask of run lengths, bool (H, W): compressed, see :func:`encode_rle`, or a list.

    Raises:
        ValueError: they are not run lengths of this many pixels.
    """
    runs = np.array(_read_counts(counts) if isinstance(counts, str) else list(counts), np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(
            f"run lengths of {count_of(int(runs.sum()), 'pixel')} for {width} x {height}"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _read_counts(text: str) -> list[int]:
    counts = list[int]()
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64 or shift > 60:
            raise ValueError("compressed run lengths with an impossible character")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        value -= (1 << shift) if group & 16 else 0
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("compressed run lengths that end early")
    return counts
