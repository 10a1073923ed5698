"""Clips: the frames around a face in its video, or small motion of a still image."""

from __future__ import annotations

import os
import re
import zlib
from itertools import chain
from typing import NamedTuple

import numpy as np

from focus.data.images import split_path
from focus.data.index import FaceIndex
from focus.data.transforms import Geometry

SMALLEST_VIEW = 0.94
_NUMBERS = re.compile(r"(\d+)")


class Frame(NamedTuple):
    """One frame of a clip: its row, and the visible part of its image."""

    row: int
    geometry: Geometry


class ClipPlan:
    """The frames of the clip around each face.

    A clip has consecutive faces of one video, label and method, ordered by the numbers in their
    names; a video with fewer faces than ``frames`` repeats them evenly. Each person in a video has
    separate clips, distinguished by the index's columns ``source`` and ``track`` and the face
    number in the path, if present.

    Args:
        index: the faces.
        frames: number of frames in a clip.
        stills: treat every face as a still image: a clip is a slow random pan and zoom of a few per
            cent over it, whose frame :meth:`place_of` is the whole image. A substitute for video if
            there is none; it has no temporal information.
    """

    def __init__(self, index: FaceIndex, frames: int, stills: bool = False) -> None:
        self.frames, self.stills, self._keys = frames, stills, index.keys
        if stills:
            return
        groups: dict[tuple[object, ...], list[int]] = {}
        further = (index.column(name) for name in ("method", "source", "track"))
        columns = (index.keys, index.column("video"), index.labels.tolist(), *further)
        for row, (key, video, *rest) in enumerate(zip(*columns, strict=True)):
            name = (video or key, split_path(key).face, *rest)
            groups.setdefault(name, []).append(row)
        for rows in groups.values():
            rows.sort(key=lambda row: _natural(index.keys[row]))
        # Arrays, which forked processes share: all rows by group, the start of each group, and the
        # position of each row in that order.
        self._rows = np.fromiter(chain.from_iterable(groups.values()), np.int64, len(index))
        self._starts = np.cumsum([0, *map(len, groups.values())])
        self._places = np.argsort(self._rows)

    def frames_of(self, row: int, geometry: Geometry, seed: tuple[int, int]) -> list[Frame]:
        """Return the frames of the clip around a row, with ``geometry`` applied to each."""
        if self.stills:
            # Seeded by the key: a face has the same motion in any subset of the index.
            rng = np.random.default_rng((*seed, zlib.crc32(os.fsencode(self._keys[row])), 1))
            return [Frame(row, _look(geometry, view)) for view in _pan(rng, self.frames)]
        place = self._places[row]
        group = int(np.searchsorted(self._starts, place, side="right"))
        first, end = self._starts[group - 1 : group + 1]
        rows = self._rows[first:end].tolist()
        if len(rows) < self.frames:
            places = np.linspace(0, len(rows) - 1, self.frames).round().astype(int)
        else:
            start = place - first - self.frames // 2
            start = min(max(start, 0), len(rows) - self.frames)
            places = np.arange(start, start + self.frames)
        return [Frame(rows[place], geometry) for place in places]

    def place_of(self, row: int) -> int:
        """Return the position of a row in its clip."""
        if self.stills:
            return self.frames // 2
        return [frame.row for frame in self.frames_of(row, Geometry(), (0, 0))].index(row)


def _pan(rng: np.random.Generator, frames: int) -> list[tuple[float, float, float]]:
    """Return (top, left, side) of the view in each frame.

    The view moves from one random view to another, through the whole image in the middle frame.
    """
    sides = rng.uniform(SMALLEST_VIEW, 1, 2)
    corners = rng.uniform(0, 1, (2, 2)) * (1 - sides)[:, None]
    first, last = np.concatenate([corners, sides[:, None]], axis=1)
    path = np.stack([first, (0, 0, 1), last], axis=1)  # (3, 3)
    times = np.arange(frames)
    views = [np.interp(times, (0, frames // 2, frames), values) for values in path]
    return list(zip(*(view.tolist() for view in views), strict=True))


def _look(geometry: Geometry, view: tuple[float, float, float]) -> Geometry:
    """Return the geometry of a view (top, left, side) inside a geometry."""
    top, left, side = view
    return Geometry(
        geometry.top + geometry.side * top,
        geometry.left + geometry.side * left,
        geometry.side * side,
        geometry.mirrored,
    )


def _natural(key: str) -> list[str | int]:
    """Return a sort key that compares numbers by value."""
    # Not isdigit, which also accepts superscripts.
    return [int(part) if part.isdecimal() else part for part in _NUMBERS.split(key)]
