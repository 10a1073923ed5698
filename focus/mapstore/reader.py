"""Reading a map file: the map of any face by its key."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from focus.errors import InputError
from focus.mapstore.hdf5 import naming_damage, open_checked, read_keys, read_rows
from focus.mapstore.rows import PROVENANCE, Rows
from focus.texts import Lookup, Texts

BLOCK_BYTES = 1 << 28  # that are read at once


class MapReader:
    """Maps by key, from a file of unknown origin: checked before use, nothing in it is executed.

    Opens on first use, opens anew in a forked process, and travels to other processes without its
    handle. Any face of a million takes a tenth of a millisecond, once the keys are read (a second,
    some eighty megabytes, which forked processes share if one was asked for before).

    Args:
        path: a file that :class:`~focus.mapstore.MapWriter` wrote, or another of its layout.

    Raises:
        InputError: on first use, for a file that is missing, cut short, of another format or a
            newer one, or whose layout is not that of a map file.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._forget()

    def _forget(self) -> None:
        self._file: Any = None
        self._process = 0
        self._attributes: dict[str, str | int] = {}
        self._keys: Texts | None = None
        self._places: Lookup | None = None
        self._labels: np.ndarray | None = None
        self._scores: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self._open()["maps"].shape[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def __contains__(self, key: object) -> bool:
        return self._index().find(key) is not None

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the map of a face: float32 (h, w) in [0, 1], 1 = manipulated.

        Raises:
            InputError: the file has no map of it.
        """
        return self.levels(key).astype(np.float32) / np.float32(255)

    def levels(self, key: str) -> np.ndarray:
        """Return the map of a face as it is stored: uint8 (h, w), 255 = manipulated."""
        return self._read("maps", self.row(key))

    def score(self, key: str) -> float:
        """Return the generator's P(fake) of a face, NaN if it has none."""
        return float(self.scores[self.row(key)])

    def part(self, name: str, key: str) -> np.ndarray:
        """Return a tensor behind the map of a face."""
        return self._read(self._part(name), self.row(key))

    def row(self, key: str) -> int:
        """Return the place of a face in the file."""
        row = self._index().find(key)
        if row is None:
            first = f"its first: {self.keys[0]!r}" if len(self) else "it is empty"
            raise InputError(f"{self.path}: no map of face {key!r} ({first})")
        return row

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the maps."""
        height, width = self._open()["maps"].shape[1:]
        return int(height), int(width)

    @property
    def attributes(self) -> dict[str, str | int]:
        """Where the maps come from; text that the file lacks is empty."""
        self._open()
        return {**dict.fromkeys([*PROVENANCE, "versions", "created"], ""), **self._attributes}

    @property
    def keys(self) -> Texts:
        """The key of every face, in the order of rows."""
        if self._keys is None:
            file = self._open()
            with naming_damage(self.path):
                self._keys = read_keys(file["key"], self.path)
        return self._keys

    @property
    def labels(self) -> np.ndarray:
        """int8 (N,): 0 real, 1 fake, -1 unknown."""
        if self._labels is None:
            labels = self._read("label", slice(None))
            if not np.isin(labels, (0, 1, -1)).all():
                raise InputError(f"{self.path}: /label holds other than 0, 1 and -1")
            self._labels = labels
        return self._labels

    @property
    def scores(self) -> np.ndarray:
        """float32 (N,): P(fake), NaN where there is none."""
        if self._scores is None:
            scores = self._read("score", slice(None))
            if not (np.isnan(scores) | (scores >= 0) & (scores <= 1)).all():
                raise InputError(f"{self.path}: /score holds what is no probability")
            self._scores = scores
        return self._scores

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the tensors behind the maps that the file keeps."""
        file = self._open()
        return tuple(sorted(file["parts"])) if "parts" in file else ()

    def read(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return the maps of some rows as they are stored: uint8 (n, h, w), in the order asked."""
        return self._read("maps", rows)

    def read_part(self, name: str, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """Return a tensor behind the maps of some rows: (n, ...), in the order asked."""
        return self._read(self._part(name), rows)

    def blocks(self, step: int = 2048) -> Iterator[Rows]:
        """Yield the whole file, ``step`` faces at a time; fewer where a face takes much memory."""
        step = self.fit(step, *(f"parts/{name}" for name in self.part_names))
        for start in range(0, len(self), step):
            here = slice(start, start + step)
            parts = {name: self.read_part(name, here) for name in self.part_names}
            yield Rows(
                self.keys[here], self.read(here), self.labels[here], self.scores[here], parts
            )

    def fit(self, step: int, *parts: str) -> int:
        """Return how many faces, at most ``step``, may be read at once: of the maps, of parts."""
        file = self._open()
        shapes = [(file[name].dtype.itemsize, *file[name].shape[1:]) for name in ("maps", *parts)]
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
        # A handle that crossed a fork shares its state with the parent's.
        if self._file is None or self._process != os.getpid():
            self._file, self._attributes = open_checked(self.path)
            self._process = os.getpid()
        return self._file

    def _read(self, name: str, rows: Sequence[int] | np.ndarray | slice | int) -> np.ndarray:
        file = self._open()
        with naming_damage(self.path):
            return read_rows(file[name], rows)

    def _part(self, name: str) -> str:
        """Return the data set of a part."""
        if name not in self.part_names:
            known = ", ".join(self.part_names) or "none"
            raise InputError(f"{self.path}: no part '{name}' (has: {known})")
        return f"parts/{name}"

    def _index(self) -> Lookup:
        if self._places is None:
            places = Lookup(self.keys)
            repeated = places.find_repeated()
            if repeated is not None:
                twice = self.keys[repeated[0]]
                raise InputError(f"{self.path}: /key holds {twice!r} twice; keys must be unique")
            self._places = places
        return self._places
