"""The distinct files that an index names."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from focus.data.doctor.looking import FACE, MASK, ORIGINAL
from focus.data.index import FaceIndex

_ROLES = {"mask": MASK, "region": MASK, "original": ORIGINAL}


@dataclass(frozen=True)
class Files:
    """The distinct paths that an index names: first its faces in their order, then the others.

    Attributes:
        root: folder that the paths are relative to.
        paths: the first ``faces`` of them are the rows of the index.
        boxes: the box of each path, empty if it has none.
        roles: uint8, bits FACE, MASK and ORIGINAL for each path.
        faces: number of rows of the index.
        links: ``mask``, ``region``, ``original`` -> int32 (rows,), the position in ``paths`` that a
            row names, -1 for none.
    """

    root: Path
    paths: Sequence[str]
    boxes: Sequence[str]
    roles: np.ndarray
    faces: int
    links: dict[str, np.ndarray]


def list_files(index: FaceIndex) -> Files:
    """Return the files of an index without opening any."""
    paths = list(index.keys)
    places: dict[str, int] = {}
    for row, path in enumerate(paths):
        places.setdefault(path, row)
    roles = [FACE] * len(paths)
    links = {}
    for column, role in _ROLES.items():
        links[column] = np.full(len(index), -1, dtype=np.int32)
        for row, path in enumerate(index.column(column)):
            if path:
                place = places.get(path, places.get(posixpath.normpath(path), -1))
                if place < 0:
                    place = places[path] = len(paths)
                    paths.append(path)
                    roles.append(0)
                roles[place] |= role
                links[column][row] = place
    boxes = [*index.column("box"), *[""] * (len(paths) - len(index))]
    return Files(index.root, paths, boxes, np.array(roles, dtype=np.uint8), len(index), links)
