"""The face index: one row per face, in a CSV that people and programs can write.

Columns are kept as lists, not rows as objects: a million faces fit in a few hundred megabytes.
"""

from __future__ import annotations

import csv
import hashlib
import os
import posixpath
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from focus.errors import InputError
from focus.types import FAKE, REAL, UNKNOWN

COLUMNS = ("path", "label", "split", "method", "video", "mask", "original", "region")
SPLITS = ("train", "val", "test")
_PATHS = ("path", "mask", "original", "region")
_LABELS = {"0": REAL, "1": FAKE, "": UNKNOWN, "-1": UNKNOWN}


@dataclass(frozen=True)
class Face:
    """One row: where the face is, and what is known of it. Empty text means not known."""

    path: str
    label: int = UNKNOWN
    split: str = ""
    method: str = ""
    video: str = ""
    mask: str = ""
    original: str = ""
    region: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of this face in map files: its path as the index gives it."""
        return self.path


class FaceIndex:
    """Rows of faces with the folder that their paths are relative to.

    Args:
        columns: column name -> text of each row; ``path`` is needed, ``label`` is not among them.
        labels: int8 (N,): 0 real, 1 fake, -1 unknown.
        root: the folder that ``path``, ``mask``, ``original`` and ``region`` are relative to.

    Raises:
        InputError: columns of different lengths, or a path that stands twice.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[str]], labels: np.ndarray, root: Path | str
    ) -> None:
        self.columns = dict(columns)
        self.labels = np.asarray(labels, dtype=np.int8)
        self.root = Path(root)
        for name, values in self.columns.items():
            if len(values) != len(self.labels):
                raise InputError(f"column {name}: {len(values)} values for {len(self.labels)} rows")

    @classmethod
    def of(cls, faces: Iterable[Face], root: Path | str) -> FaceIndex:
        """Build an index from faces; a column that is empty in all of them is left out."""
        faces = list(faces)
        names = [name for name in COLUMNS if name != "label"]
        columns = {name: [getattr(face, name) for face in faces] for name in names}
        for name in dict.fromkeys(name for face in faces for name in face.extra):
            columns[name] = [face.extra.get(name, "") for face in faces]
        kept = {name: values for name, values in columns.items() if name == "path" or any(values)}
        index = cls(kept, np.array([face.label for face in faces], dtype=np.int8), root)
        index.check_keys()
        return index

    @classmethod
    def read(cls, path: Path | str, root: Path | str | None = None) -> FaceIndex:
        """Read a CSV index; its folder is the root unless one is given.

        Raises:
            InputError: no such file, no ``path`` or ``label`` column, a wrong label or split, a
                short or long row, a path that stands twice; each with its line number.
        """
        path = Path(path)
        try:
            # utf-8-sig: spreadsheets put a byte-order mark before the header.
            with path.open(encoding="utf-8-sig", newline="") as file:
                columns, labels = _read_rows(file, path)
        except OSError as error:
            raise InputError(f"{path}: cannot read the index ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text at byte {error.start}") from None
        except csv.Error as error:
            raise InputError(f"{path}: not a CSV file ({error})") from None
        index = cls(columns, np.array(labels), root if root is not None else path.parent)
        index.check_keys(path)
        return index

    def write(self, path: Path | str) -> None:
        """Write the CSV; it appears whole, in one rename."""
        path = Path(path)
        names = ["path", "label", *(name for name in self.columns if name != "path")]
        columns = [self._label_text() if name == "label" else self.columns[name] for name in names]
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(zip(*columns, strict=True))
        temporary.replace(path)

    def relocated(self, folder: Path | str) -> FaceIndex:
        """Return the same faces with paths relative to another folder (for writing there)."""
        moved = {}
        prefix = Path(os.path.relpath(self.root.resolve(), Path(folder).resolve())).as_posix()
        for name, values in self.columns.items():
            if name in _PATHS and prefix != ".":
                # An absolute path stays as it is.
                moved[name] = [posixpath.join(prefix, value) if value else "" for value in values]
            else:
                moved[name] = list(values)
        return FaceIndex(moved, self.labels, folder)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Face:
        known = {name: self.columns[name][row] for name in COLUMNS[2:] if name in self.columns}
        extra = {name: self.columns[name][row] for name in self.columns if name not in COLUMNS}
        return Face(self.columns["path"][row], int(self.labels[row]), extra=extra, **known)

    def __iter__(self) -> Iterator[Face]:
        return (self[row] for row in range(len(self)))

    @property
    def keys(self) -> Sequence[str]:
        """The key of every row."""
        return self.columns["path"]

    def column(self, name: str) -> Sequence[str]:
        """Return a text column, empty text where the index has none."""
        return self.columns.get(name) or [""] * len(self)

    def take(self, rows: np.ndarray) -> FaceIndex:
        """Return the rows of an integer array or a boolean mask, in that order."""
        rows = np.arange(len(self))[rows]
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return FaceIndex(columns, self.labels[rows], self.root)

    def where(
        self, split: str = "", methods: Sequence[str] = (), label: int | None = None
    ) -> FaceIndex:
        """Return the faces of a split, of some methods (real faces stay), or of a label."""
        keep = np.ones(len(self), dtype=bool)
        if split:
            keep &= np.array([value == split for value in self.column("split")], dtype=bool)
        if methods:
            wanted = np.array([value in methods for value in self.column("method")], dtype=bool)
            keep &= wanted | (self.labels == REAL)
        if label is not None:
            keep &= self.labels == label
        return self.take(keep)

    def fingerprint(self) -> str:
        """Return the SHA-256 of keys and labels in their order: what a map file belongs to."""
        digest = hashlib.sha256()
        for key, label in zip(self.keys, self.labels, strict=True):
            digest.update(f"{key}\0{label}\n".encode())
        return digest.hexdigest()

    def check_keys(self, path: Path | None = None) -> None:
        """Raise InputError if a path stands twice."""
        if len(set(self.keys)) == len(self):
            return
        seen: dict[str, int] = {}
        for row, key in enumerate(self.keys):
            if key in seen:
                where = f"{path}: " if path else ""
                lines = f"lines {seen[key] + 2} and {row + 2}"
                raise InputError(f"{where}path stands twice, {lines}: {key}")
            seen[key] = row

    def _label_text(self) -> list[str]:
        return ["" if label == UNKNOWN else str(label) for label in self.labels]


def _read_rows(file: Iterable[str], path: Path) -> tuple[dict[str, list[str]], list[int]]:
    """Read the text columns, and ``label`` as integers."""
    reader = csv.reader(file)
    names = _read_header(next(reader, []), path)
    columns: dict[str, list[str]] = {name: [] for name in names}
    # All but paths repeat: one copy of each value serves a million rows.
    fields = [(values.append, name in _PATHS) for name, values in columns.items()]
    for row in reader:
        if row and len(row) != len(names):
            line = reader.line_num
            raise InputError(f"{path}: line {line} has {len(row)} fields, the header {len(names)}")
        for (append, unique), value in zip(fields, row, strict=bool(row)):
            append(value if unique else sys.intern(value))
    _check_values(columns, path)
    return columns, [_LABELS[label] for label in columns.pop("label")]


def _read_header(header: list[str], path: Path) -> list[str]:
    names = [name.strip() for name in header]
    for needed in ("path", "label"):
        if needed not in names:
            raise InputError(f"{path}: line 1 names no column '{needed}' (has: {', '.join(names)})")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: line 1 names a column twice")
    return names


def _check_values(columns: Mapping[str, list[str]], path: Path) -> None:
    """Refuse values that are none, with the line they stand on."""
    for line, face in enumerate(columns["path"], 2):
        if not face:
            raise InputError(f"{path}: line {line} has an empty path")
    for line, label in enumerate(columns["label"], 2):
        if label not in _LABELS:
            raise InputError(
                f"{path}: line {line} has label {label!r}; use 0 (real), 1 (fake) or empty"
            )
    for line, split in enumerate(columns.get("split", ()), 2):
        if split and split not in SPLITS:
            raise InputError(
                f"{path}: line {line} has split {split!r}; use {', '.join(SPLITS)} or empty"
            )
