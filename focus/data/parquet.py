"""Parquet files of images, as the ``datasets`` library writes them; pyarrow reads them.

An image column holds the bytes of image files: plain, or in a struct ``{bytes, path}``, or the
absolute path of a file there. Row 17 of
column ``image`` is the member ``image/17``. Reading one decodes its row group (100 rows in files of
``datasets``); the last few stay in memory, so that reading in order is fast.
"""

from __future__ import annotations

import json
import mmap
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from focus.data.index import PATHS, SPLIT_NAMES, Face
from focus.errors import InputError, UnreadableError
from focus.types import LABEL_NAMES, UNKNOWN

SUFFIX = ".parquet"
INSTALL = "needs pyarrow: pip install 'focus-forgery[datasets]'"
_IMAGES = ("image", "img", "face")
_LINKED = PATHS[1:]
_LABELS = ("label", "labels")
_KEPT_GROUPS = 4
_GROUP_ROWS = 100
_MAX_BYTES = 2**28
_PART = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?![a-z])")


class ParquetImages:
    """The images of a Parquet file as members of an archive: ``image/17``.

    Args:
        file: path, or an open file, which is mapped into memory: its position may be shared.

    Raises:
        UnreadableError: pyarrow is missing, or the file is damaged.
    """

    def __init__(self, file: str | IO[bytes]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise UnreadableError(INSTALL) from None
        try:
            if not isinstance(file, str):
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))
            else:
                self._file = pq.ParquetFile(file)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UnreadableError(f"not a Parquet file, or damaged ({error})") from None
        self._damaged = (OSError, pa.ArrowException)
        metadata = self._file.metadata
        rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *rows])
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self.schema = self._file.schema_arrow
        self.columns = [field.name for field in self.schema if _holds_images(field.type)]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def names(self) -> list[str]:
        """Return the members of all image columns."""
        return [f"{column}/{row}" for column in self.columns for row in range(len(self))]

    def size(self, name: str) -> int:
        """Return the size of a member in bytes."""
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        """Return the bytes of an image file.

        Raises:
            UnreadableError: no such row or column, an empty value, or damaged data.
        """
        column, _, number = name.rpartition("/")
        row = int(number) if number.isdecimal() else -1
        if column not in self.columns or not 0 <= row < len(self):
            raise UnreadableError("the file has no such row or column")
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        try:
            value = self._read_group(column, group)[row - int(self._starts[group])].as_py()
        except self._damaged as error:
            raise UnreadableError(f"the row group is damaged ({error})") from None
        data = value.get("bytes") if isinstance(value, dict) else value
        if not data:
            data = _read_named(str(value.get("path") or "") if isinstance(value, dict) else "")
        if len(data) > _MAX_BYTES:
            raise UnreadableError("the image is larger than 256 MiB")
        return data

    def read_column(self, name: str) -> list[Any]:
        """Return a column without images as Python values."""
        return self._file.read(columns=[name], use_threads=False).column(0).to_pylist()

    def find_valid(self, column: str) -> np.ndarray:
        """Return which rows of an image column hold an image, bool (N,)."""
        found = []
        for group in range(len(self._starts) - 1):
            values = self._read_group(column, group).combine_chunks()
            held = values.is_valid()
            if hasattr(values, "field"):
                named = [
                    Path(path or "").is_absolute() for path in values.field("path").to_pylist()
                ]
                held = np.asarray(values.field("bytes").is_valid()) | named
            found.append(np.asarray(values.is_valid()) & np.asarray(held))
        return np.concatenate([np.zeros(0, dtype=bool), *found])

    def _read_group(self, column: str, group: int) -> Any:
        key = column, group
        if key not in self._groups:
            table = self._file.read_row_group(group, columns=[column], use_threads=False)
            self._groups[key] = table.column(0)
            if len(self._groups) > _KEPT_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]


class ImageWriter:
    """Write faces with their maps as ``datasets`` does: images as structs ``{bytes, path}``.

    Args:
        path: the file to write.

    Raises:
        InputError: pyarrow is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise InputError(f"{path}: {INSTALL}") from None
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        fields = {
            "image": (image, {"_type": "Image"}),
            "map": (image, {"_type": "Image"}),
            "score": (pa.float32(), {"dtype": "float32", "_type": "Value"}),
            "label": (pa.int64(), {"names": ["real", "fake"], "_type": "ClassLabel"}),
            "key": (pa.string(), {"dtype": "string", "_type": "Value"}),
        }
        features = {name: feature for name, (_, feature) in fields.items()}
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        self._schema = pa.schema([(name, kind) for name, (kind, _) in fields.items()], about)
        self._path, self._table, self._open = path, pa.Table, pq.ParquetWriter
        self._file: Any = None
        self._rows: list[dict[str, Any]] = []

    def add(self, key: str, image: bytes, level: bytes, score: float | None, label: int) -> None:
        """Add a face: the bytes of its image and of its map, its score (or None) and label."""
        name = Path(key).name
        self._rows.append(
            {
                "image": {"bytes": image, "path": name},
                "map": {"bytes": level, "path": f"{name}.map.png"},
                "score": score,
                "label": None if label == UNKNOWN else label,
                "key": key,
            }
        )
        if len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last rows and close the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._open(self._path, self._schema)
        self._file.write_table(self._table.from_pylist(self._rows, self._schema))
        self._rows = []


def list_parquet(images: ParquetImages, path: str) -> list[Face]:
    """Return a row per image.

    The image column is ``image``, ``img`` or ``face``, else the only one; columns ``mask``,
    ``region`` and ``original`` of images are linked. ``label`` has class names real and fake, or
    texts, or 0 and 1. Column ``split``, else a file name such as ``train-00000-of-00003``, gives
    the split. Other columns of text and numbers are kept.

    Args:
        images: the file.
        path: its path in the index.

    Raises:
        InputError: no image column or several, or labels that are not real and fake.
    """
    column = _find_images(images, path)
    linked = {name: images.find_valid(name) for name in _LINKED if name in images.columns}
    plain = {name: images.read_column(name) for name in _list_plain(images)}
    labels = next((name for name in _LABELS if name in plain), "")
    numbers = _read_labels(images, labels, plain.pop(labels), path) if labels else None
    part = _PART.match(Path(path).name.lower())
    usual = SPLIT_NAMES[part[1]] if part else ""
    texts = {name: ["" if v is None else str(v) for v in values] for name, values in plain.items()}
    splits = [SPLIT_NAMES.get(value.lower(), "") for value in texts.pop("split", [])]
    method, video = texts.pop("method", []), texts.pop("video", [])
    return [
        Face(
            f"{path}!/{column}/{row}",
            UNKNOWN if numbers is None else numbers[row],
            splits[row] if splits else usual,
            method[row] if method else "",
            video[row] if video else "",
            extra={name: values[row] for name, values in texts.items()},
            **{name: f"{path}!/{name}/{row}" for name, held in linked.items() if held[row]},
        )
        for row in range(len(images))
    ]


def _read_named(path: str) -> bytes:
    """Read the image file that a row names instead of holding one, as ``Dataset.to_parquet`` does.

    Raises:
        UnreadableError: no absolute path, or no such file.
    """
    if not Path(path).is_absolute():
        other = f"; it names the file {path}" if path else ""
        raise UnreadableError(f"the row holds no image{other}")
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None


def _find_images(images: ParquetImages, path: str) -> str:
    found = [name for name in images.columns if name not in _LINKED]
    named = [name for name in _IMAGES if name in found] or found
    if len(named) != 1 and not set(named) & set(_IMAGES):
        there = ", ".join(images.schema.names)
        raise InputError(f"{path}: needs a column 'image' of image files (its columns: {there})")
    return named[0]


def _list_plain(images: ParquetImages) -> Iterator[str]:
    """Yield the columns of texts and numbers that an index can hold."""
    import pyarrow.types as types

    taken = {"path", *_LINKED}
    for field in images.schema:
        kind = field.type
        simple = types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind)
        if field.name not in taken and (
            simple or types.is_integer(kind) or types.is_floating(kind)
        ):
            yield field.name


def _read_labels(images: ParquetImages, name: str, values: Sequence[Any], path: str) -> list[int]:
    """Return labels from class names, texts, or 0 and 1; empty values are unknown."""
    classes = _class_names(images, name)
    words = dict(enumerate(classes)) if classes else {0: "real", 1: "fake"}
    found = []
    for value in values:
        word = words.get(value, value) if not isinstance(value, str) else value
        label = UNKNOWN if value in (None, "", -1) else LABEL_NAMES.get(str(word).lower())
        if label is None:
            raise InputError(
                f"{path}: column {name} has {word!r}; the classes must be real and fake "
                "(or numbers 0 and 1 without class names)"
            )
        found.append(label)
    return found


def _class_names(images: ParquetImages, name: str) -> list[str]:
    """Return the class names that ``datasets`` records for a column; empty if there are none."""
    try:
        recorded = json.loads((images.schema.metadata or {}).get(b"huggingface", b"{}"))
        return [str(one) for one in recorded["info"]["features"][name]["names"]]
    except (ValueError, KeyError, TypeError):
        return []


def _holds_images(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        return "bytes" in fields and _holds_images(fields["bytes"])
    return types.is_binary(kind) or types.is_large_binary(kind)
