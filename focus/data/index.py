"""The face index: one row per face, in a CSV that people and programs can write.

A column is a few arrays, not a list of objects: a million faces take about 200 MB, shared by forked
processes.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from focus.errors import InputError, count_of
from focus.files import relative_path, replace_file
from focus.texts import BLOCK, Lookup, TextGatherer, Texts
from focus.types import FAKE, REAL, UNKNOWN

COLUMNS = ("path", "label", "split", "method", "video", "mask", "original", "region")
SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    **dict.fromkeys(("validation", "valid", "dev"), "val"),
}
"""Names of splits elsewhere, in lower case -> ours."""
PATHS = ("path", "mask", "original", "region")
"""Columns with paths of images."""
LABEL_TEXTS = {"0": REAL, "1": FAKE, "": UNKNOWN, "-1": UNKNOWN}


class DuplicateKeyError(InputError):
    """Two rows of an index have the same path."""


@dataclass(frozen=True, slots=True)
class Face:
    """One row: the path of a face and its attributes. Empty text means unknown."""

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
        """The name of this face in map files: its path as in the index."""
        return self.path


class FaceIndex:
    """Rows of faces, and the folder that their paths are relative to.

    Args:
        columns: column name -> text of each row, with ``path`` and without ``label``. Kept as
            :class:`~focus.texts.Texts`.
        labels: int8 (N,): 0 real, 1 fake, -1 unknown.
        root: the folder that ``path``, ``mask``, ``original`` and ``region`` are relative to.

    Raises:
        InputError: columns of different lengths.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[str]], labels: np.ndarray, root: Path | str
    ) -> None:
        self.columns: dict[str, Sequence[str]] = {
            name: Texts.of(values) for name, values in columns.items()
        }
        self.labels = np.asarray(labels, dtype=np.int8)
        self.root = Path(root)
        for name, values in self.columns.items():
            if len(values) != len(self.labels):
                rows = count_of(len(self.labels), "row")
                raise InputError(f"column {name}: {count_of(len(values), 'value')} for {rows}")

    @classmethod
    def of(cls, faces: Iterable[Face], root: Path | str) -> FaceIndex:
        """Build an index from faces; omit columns that are empty in all of them."""
        faces = list(faces)
        names = [name for name in COLUMNS if name != "label"]
        columns = {name: Texts.of(getattr(face, name) for face in faces) for name in names}
        for name in dict.fromkeys(name for face in faces for name in face.extra):
            columns[name] = Texts.of(face.extra.get(name, "") for face in faces)
        kept = {name: values for name, values in columns.items() if name == "path" or any(values)}
        labels = np.fromiter((face.label for face in faces), np.int8, len(faces))
        index = cls(kept, labels, root)
        index.check_keys()
        return index

    @classmethod
    def read(cls, path: Path | str, root: Path | str | None = None) -> FaceIndex:
        """Read a CSV index; the default root is its folder.

        Raises:
            InputError: no such file, no ``path`` or ``label`` column, a wrong label or split, a
                short or long row, a duplicate path; with the line number at which the row begins.
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
        index = cls(columns, labels, root if root is not None else path.parent)
        index.check_keys(path)
        return index

    def write(self, path: Path | str) -> None:
        """Write the CSV atomically (by a rename).

        Raises:
            InputError: see :func:`~focus.files.replace_file`.
        """
        path = Path(path)
        names = ["path", "label", *(name for name in self.columns if name != "path")]
        columns = [self._label_text() if name == "label" else self.columns[name] for name in names]
        with (
            replace_file(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            writer.writerows(zip(*columns, strict=True))

    def relocated(self, folder: Path | str) -> FaceIndex:
        """Return the same faces with paths relative to another folder, to write the index there."""
        prefix = Path(relative_path(self.root, folder)).as_posix()

        def move(path: str) -> str:
            # An absolute path or a URL stays as it is.
            fixed = not path or os.path.isabs(path) or "://" in path
            return path if fixed else f"{prefix}/{path}"

        columns = {name: Texts.of(values) for name, values in self.columns.items()}
        if prefix != ".":
            columns |= {name: columns[name].change(move) for name in PATHS if name in columns}
        return FaceIndex(columns, self.labels, folder)

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
        """Return a text column; all empty if the index lacks it."""
        return self.columns.get(name) or Texts.repeat("", len(self))

    def take(self, rows: np.ndarray) -> FaceIndex:
        """Return the rows selected by an integer array (in its order) or a boolean mask."""
        rows = np.arange(len(self))[rows]
        columns = {name: Texts.of(values).take(rows) for name, values in self.columns.items()}
        return FaceIndex(columns, self.labels[rows], self.root)

    def where(
        self, split: str = "", methods: Sequence[str] = (), label: int | None = None
    ) -> FaceIndex:
        """Return the faces of a split, of some methods (real faces are kept), or of a label."""
        keep = np.ones(len(self), dtype=bool)
        if split:
            keep &= Texts.of(self.column("split")).isin((split,))
        if methods:
            keep &= Texts.of(self.column("method")).isin(methods) | (self.labels == REAL)
        if label is not None:
            keep &= self.labels == label
        return self.take(keep)

    def fingerprint(self) -> str:
        """Return the SHA-256 of keys and labels in order; map files record it."""
        digest = hashlib.sha256()
        rows = zip(self.keys, self.labels.tolist(), strict=True)
        while block := [f"{key}\0{label}\n" for key, label in islice(rows, BLOCK)]:
            digest.update("".join(block).encode())
        return digest.hexdigest()

    def check_keys(self, path: Path | None = None) -> None:
        """Check that no two rows have the same path.

        Args:
            path: the file that the rows were read from: errors then name its lines.

        Raises:
            DuplicateKeyError: two rows have the same path.
        """
        repeated = Lookup(self.keys).find_repeated()
        if repeated is not None:
            key = self.keys[repeated[1]]
            if path is None:
                first, second = (row + 1 for row in repeated)
                raise DuplicateKeyError(f"rows {first} and {second} have the same path: {key}")
            first, second = (_find_line(path, row) for row in repeated)
            raise DuplicateKeyError(f"{path}: lines {first} and {second} have the same path: {key}")

    def _label_text(self) -> Iterator[str]:
        return ("" if label == UNKNOWN else str(label) for label in self.labels.tolist())


def _read_rows(file: Iterable[str], path: Path) -> tuple[dict[str, Texts], np.ndarray]:
    """Return the text columns, and ``label`` as int8."""
    reader = csv.reader(file)
    names = _read_header(next(reader, []), path)
    gathered = {name: TextGatherer() for name in names}
    rows = _check_rows(reader, len(names), path)
    # One list of all fields: many row lists would slow the garbage collector.
    while fields := list(chain.from_iterable(islice(rows, BLOCK))):
        for place, column in enumerate(gathered.values()):
            column.extend(fields[place :: len(names)])
    columns = {name: column.finish() for name, column in gathered.items()}
    _check_values(columns, path)
    labels = columns.pop("label")
    return columns, np.fromiter((LABEL_TEXTS[label] for label in labels), np.int8, len(labels))


def _check_rows(reader: Any, width: int, path: Path) -> Iterator[list[str]]:
    """Yield the non-empty rows of a CSV reader; refuse short and long ones."""
    before = reader.line_num
    for row in reader:
        if len(row) == width:
            yield row
        elif row:
            fields = count_of(len(row), "field")
            raise InputError(f"{path}: line {before + 1} has {fields}, the header {width}")
        before = reader.line_num


def _find_line(path: Path, row: int) -> int:
    """Return the line on which a row begins; blank lines and quoted line breaks are not rows."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        before = reader.line_num
        for fields in reader:
            if fields and row == 0:
                break
            row -= bool(fields)
            before = reader.line_num
        return before + 1


def _read_header(header: list[str], path: Path) -> list[str]:
    names = [name.strip() for name in header]
    for needed in ("path", "label"):
        if needed not in names:
            raise InputError(f"{path}: line 1 has no column '{needed}' (has: {', '.join(names)})")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: line 1 has a column twice")
    return names


def _check_values(columns: Mapping[str, Texts], path: Path) -> None:
    """Refuse empty paths and unknown labels and splits; errors name the line."""
    for name, known, fault in (
        ("path", None, "an empty path"),
        ("label", LABEL_TEXTS, "label {!r}; use 0 (real), 1 (fake) or empty"),
        ("split", ("", *SPLITS), f"split {{!r}}; use {', '.join(SPLITS)} or empty"),
    ):
        values = columns.get(name, Texts.repeat("", 0))
        bad = values.isin(("",)) if known is None else ~values.isin(known)
        if bad.any():
            row = int(np.argmax(bad))
            line = _find_line(path, row)
            raise InputError(f"{path}: line {line} has {fault.format(values[row])}")
