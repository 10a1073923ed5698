"""Read a map file: a mapping from face key to map."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from focus.errors import InputError
from focus.mapstore.hdf5 import naming_damage, open_checked, read_keys, read_rows
from focus.mapstore.rows import PLACES, PROVENANCE, RELATIVE, TOP, Rows, decode
from focus.texts import Lookup, Texts

BLOCK_BYTES = 1 << 28  # most bytes read at once


class NoMapError(InputError, KeyError):
    """The map file has no map of the face."""


class MapReader(Mapping[str, np.ndarray]):
    """Mapping from face key to map, float32 (h, w) in [0, 1], 1 = manipulated.

    The file may be of unknown origin: it is checked before use, and nothing in it is executed. It
    is opened on first use, opened again in a forked process, and pickled without its handle.
    Reading one face of a million takes 0.1 ms, after the keys were read once (1 s, about 80 MB,
    shared with processes that are forked later).

    Args:
        path: a file written by :class:`~focus.mapstore.MapWriter`, or another of the same layout.

    Raises:
        InputError: on first use, for a file that is missing, truncated, of another or a newer
            format, or whose layout is not that of a map file.

    Example:
        >>> reader = MapReader("maps.h5")  # doctest: +SKIP
        >>> for key, values in reader.items():  # doctest: +SKIP
        ...     print(key, values.max(), reader.score(key))
    """

    # Compare by identity: Mapping's comparison would read both files.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._forget()

    def _forget(self) -> None:
        self._file: Any = None
        self._process = 0
        self._attributes: dict[str, str | int] = {}
        self._keys: Texts | None = None
        self._places: Lookup | None = None
        self._scales: np.ndarray | None = None
        self._labels: np.ndarray | None = None
        self._scores: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self._open()["maps"].shape[0])

    def __repr__(self) -> str:
        return f"MapReader({str(self.path)!r})"

    def __iter__(self) -> Iterator[str]:
        return iter(self.face_keys)

    def __contains__(self, key: object) -> bool:
        return self._index().find(key) is not None

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the map of a face: float32 (h, w) in [0, 1], 1 = manipulated.

        Raises:
            NoMapError: the file has no map of the face; an InputError and a KeyError.
        """
        row = self.row(key)
        return self.read(slice(row, row + 1))[0]

    def score(self, key: str) -> float:
        """Return the generator's P(fake) of a face, NaN if it has none."""
        return float(self.scores[self.row(key)])

    def part(self, name: str, key: str) -> np.ndarray:
        """Return a tensor behind the map of a face."""
        return self._read(self._part(name), self.row(key))

    def row(self, key: str) -> int:
        """Return the row of a face in the file.

        Raises:
            NoMapError: the file has no map of the face.
        """
        row = self._index().find(key)
        if row is None:
            first = f"its first: {self.face_keys[0]!r}" if len(self) else "it is empty"
            raise NoMapError(f"{self.path}: no map of face {key!r} ({first})")
        return row

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the maps."""
        height, width = self._open()["maps"].shape[1:]
        return int(height), int(width)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The generator's settings: attribute ``config``; empty if it is not a JSON object."""
        try:
            found = json.loads(str(self.attributes.get("config") or "{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def attributes(self) -> dict[str, str | int]:
        """The origin of the maps; missing text is empty.

        If ``data`` and ``root`` were moved together with the map file, they name the new place.
        """
        self._open()
        names = [*PROVENANCE, "versions", "created"]
        return {**dict.fromkeys(names, ""), **self._attributes, **self._find_moved()}

    def _find_moved(self) -> dict[str, str | int]:
        """Return the paths that exist only relative to the map file's folder."""
        try:
            relative = dict(json.loads(str(self._attributes.get(RELATIVE) or "{}")))
        except (ValueError, TypeError, RecursionError):
            return {}
        moved: dict[str, str | int] = {}
        for name in PLACES:
            here = self.path.absolute().parent / str(relative.get(name, ""))
            recorded = str(self._attributes.get(name, ""))
            with suppress(OSError, ValueError):  # an invalid file name
                if relative.get(name) and not Path(recorded).exists() and here.exists():
                    moved[name] = os.path.normpath(here)
        return moved

    @property
    def face_keys(self) -> Texts:
        """The key of every face, in row order."""
        if self._keys is None:
            file = self._open()
            with naming_damage(self.path):
                self._keys = read_keys(file["key"], self.path)
        return self._keys

    @property
    def _all_scales(self) -> np.ndarray:
        """float32 (N,): the scale of each map; 1 in version 1."""
        if self._scales is None:
            if "scale" not in self._open():
                self._scales = np.ones(len(self), np.float32)
            else:
                scales = self._read("scale", slice(None))
                if not ((scales > 0) & (scales <= 1)).all():
                    raise InputError(f"{self.path}: /scale has values outside (0, 1]")
                self._scales = scales
        return self._scales

    @property
    def labels(self) -> np.ndarray:
        """int8 (N,): 0 real, 1 fake, -1 unknown."""
        if self._labels is None:
            labels = self._read("label", slice(None))
            if not np.isin(labels, (0, 1, -1)).all():
                raise InputError(f"{self.path}: /label has values other than 0, 1 and -1")
            self._labels = labels
        return self._labels

    @property
    def scores(self) -> np.ndarray:
        """float32 (N,): P(fake), NaN if missing."""
        if self._scores is None:
            scores = self._read("score", slice(None))
            if not (np.isnan(scores) | (scores >= 0) & (scores <= 1)).all():
                raise InputError(f"{self.path}: /score has values outside [0, 1]")
            self._scores = scores
        return self._scores

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the stored tensors behind the maps."""
        file = self._open()
        return tuple(sorted(file["parts"])) if "parts" in file else ()

    def read(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return the maps of some rows: float32 (n, h, w) in [0, 1], in the given order."""
        return decode(self._levels(rows), self._all_scales[_indices(rows)])

    def _levels(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return stored levels: uint16 (n, h, w)."""
        levels = self._read("maps", rows)
        if levels.dtype == np.uint8:  # version 1
            return levels * np.uint16(TOP // 255)
        if levels.max(initial=0) > TOP:
            raise InputError(f"{self.path}: /maps has levels above {TOP}")
        return levels

    def read_part(self, name: str, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return a tensor behind the maps of some rows: (n, ...), in the given order."""
        return self._read(self._part(name), rows)

    def blocks(self, step: int = 2048) -> Iterator[Rows]:
        """Yield the whole file, ``step`` faces at a time; fewer if faces are large."""
        step = self.fit(step, *(f"parts/{name}" for name in self.part_names))
        for start in range(0, len(self), step):
            here = slice(start, start + step)
            parts = {name: self.read_part(name, here) for name in self.part_names}
            yield Rows(
                self.face_keys[here],
                self._levels(here),
                self._all_scales[here],
                self.labels[here],
                self.scores[here],
                parts,
            )

    @property
    def failures(self) -> bytes:
        """JSON list of the faces missing from a part; empty for a complete map file."""
        return self._read("failures", slice(None)).tobytes() if "failures" in self._open() else b""

    @property
    def key_bytes(self) -> int:
        """Stored length of a key, in bytes."""
        return int(self._open()["key"].dtype.itemsize)

    def fit(self, step: int, *parts: str) -> int:
        """Return the number of faces, at most ``step``, to read at once: maps and data sets."""
        file = self._open()
        shapes = [(file[name].dtype.itemsize, *file[name].shape[1:]) for name in parts]
        shapes.append((4, *file["maps"].shape[1:]))  # as float32
        row = sum(math.prod(map(int, shape)) for shape in shapes)
        return max(min(step, BLOCK_BYTES // max(row, 1)), 1)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._file is not None:
            self._file.close()
        self._forget()

    def __enter__(self) -> MapReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._forget()

    def _open(self) -> Any:
        # After a fork, the handle shares its state with the parent's.
        if self._file is None or self._process != os.getpid():
            self._file, self._attributes = open_checked(self.path)
            self._process = os.getpid()
        return self._file

    def _read(self, name: str, rows: Sequence[int] | np.ndarray | slice | int) -> np.ndarray:
        file = self._open()
        with naming_damage(self.path):
            return read_rows(file[name], rows)

    def _part(self, name: str) -> str:
        """Return the data set name of a part."""
        if name not in self.part_names:
            known = ", ".join(self.part_names) or "none"
            raise InputError(f"{self.path}: no part '{name}' (has: {known})")
        return f"parts/{name}"

    def _index(self) -> Lookup:
        if self._places is None:
            places = Lookup(self.face_keys)
            repeated = places.find_repeated()
            if repeated is not None:
                twice = self.face_keys[repeated[0]]
                raise InputError(f"{self.path}: /key contains {twice!r} twice; keys must be unique")
            self._places = places
        return self._places


def _indices(rows: Sequence[int] | np.ndarray | slice) -> np.ndarray | slice:
    return rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64).reshape(-1)
