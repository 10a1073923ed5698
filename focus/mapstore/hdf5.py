"""The HDF5 layout of a map file: check, read and write it. The only module that imports h5py."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from focus.errors import InputError, count_of
from focus.mapstore.rows import LONGEST_KEY, NO_ROWS, Rows, check_alike, longest_key
from focus.texts import BLOCK, Lookup, TextGatherer, Texts, hash_texts

FORMAT, FORMAT_VERSION = "focus-maps", 2
CHUNK_BYTES = 65536  # measured at 14x14 and 56x56: 12 us per face, sequential reads at disk speed
LIMIT_SIDE, LIMIT_PARTS = 4096, 64
LIMIT_ATTRIBUTE = 60_000  # bytes: HDF5 allows 64 KiB in an object's header
LIMIT_ROW, LIMIT_CHUNK = 1 << 25, 1 << 26  # bytes
LIMIT_RATIO = 1100  # above the highest compression ratio of deflate, so more is invalid

_ARRAYS = {
    "maps": (np.uint16, 3),
    "scale": (np.float32, 1),
    "label": (np.int8, 1),
    "score": (np.float32, 1),
}
_FIRST_ARRAYS = {**_ARRAYS, "maps": (np.uint8, 3)}  # of version 1, which has no scale
del _FIRST_ARRAYS["scale"]
_TOO_OLD = "holds variable-length text, as version 1 did; re-run focus generate"
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF)
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)


def open_checked(path: Path) -> tuple[h5py.File, dict[str, str | int]]:
    """Open a map file of unknown origin; return it and its attributes.

    Links to other files, and declared sizes larger than the file can contain, are refused before
    anything is read. So is variable-length text: HDF5 stores it in heaps, and one damaged byte in a
    heap can make HDF5 loop forever or allocate gigabytes.

    Raises:
        InputError: a file that is missing, truncated, open for writing elsewhere, of another format
            or version, or whose layout is not that of a map file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r", locking=False)
    except (OSError, OverflowError) as error:  # an address out of range
        raise InputError(f"{path}: {_explain(path, error)}") from None
    try:
        with naming_damage(path):
            attributes = _read_attributes(file, path)
            version = _check_format(attributes, path)
            _check_layout(file, path, _ARRAYS if version == FORMAT_VERSION else _FIRST_ARRAYS)
        return file, attributes
    except InputError:
        file.close()
        raise


def _explain(path: Path, error: Exception) -> str:
    """Return why HDF5 cannot open a file."""
    try:
        with h5py.File(path, "r", locking=True):
            is_locked = False
    except (OSError, OverflowError) as again:
        is_locked = isinstance(again, BlockingIOError) or "already open for write" in str(again)
    if is_locked:
        return "is open for writing elsewhere; wait until that program has closed it"
    if not h5py.is_hdf5(path):
        return "not an HDF5 file; make a map file with focus generate"
    return f"cut short or damaged ({_one_line(error)}); re-run focus generate"


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn h5py's errors on damaged data into one line with the file name."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: damaged ({_one_line(error)})") from None


def read_keys(dataset: h5py.Dataset, path: Path) -> Texts:
    """Return all keys of a file.

    Raises:
        InputError: a key that is not UTF-8.
    """
    gathered = TextGatherer()
    try:
        for start in range(0, len(dataset), BLOCK):
            gathered.extend([key.decode() for key in dataset[start : start + BLOCK].tolist()])
        return gathered.finish()
    except UnicodeDecodeError:
        raise InputError(f"{path}: /key has text that is not UTF-8") from None


def read_rows(dataset: h5py.Dataset, rows: Sequence[int] | np.ndarray | slice | int) -> np.ndarray:
    """Return one row of a data set, or several in the given order; reads each chunk once."""
    if isinstance(rows, (slice, int)):
        return np.asarray(dataset[rows])
    rows = np.asarray(rows, dtype=np.int64).reshape(-1)
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(dataset):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(dataset)}")
    found = np.empty((len(rows), *dataset.shape[1:]), dtype=dataset.dtype)
    order = np.argsort(rows, kind="stable")
    step = dataset.chunks[0] if dataset.chunks else 256
    for group in np.split(order, np.flatnonzero(np.diff(rows[order] // step)) + 1):
        if len(group):
            first = rows[group[0]]
            found[group] = dataset[first : rows[group[-1]] + 1][rows[group] - first]
    return found


def write_file(
    path: Path,
    attributes: Mapping[str, str | int],
    pieces: Iterable[Rows],
    count: int,
    key_bytes: int,
    failures: bytes | None = None,
) -> None:
    """Write faces and flush them to the disk; the same faces and attributes give the same bytes.

    Args:
        path: the file.
        attributes: attributes of the file.
        pieces: the faces.
        count: number of faces.
        key_bytes: length of the longest key, in bytes of UTF-8.
        failures: for a part, the JSON list of its missing faces.

    Raises:
        OSError: the disk is full or cannot be written.
        InputError: a repeated key, one that cannot be stored, maps that differ in size, or an
            attribute of more than 60,000 bytes.
    """
    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w", libver=("earliest", "v110")) as file:
                everything = {"format": FORMAT, "format_version": FORMAT_VERSION, **attributes}
                for name, value in everything.items():
                    _write_attribute(file, name, value)
                _fill(file, sink, pieces, count, key_bytes)
                if failures is not None:
                    values = np.frombuffer(failures, np.uint8)
                    file.create_dataset("failures", data=values, track_times=False)
        except OSError:
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error
        os.fsync(sink.fileno())


class _Sink(io.FileIO):
    """A file that remembers its first error instead of raising it.

    HDF5 2.0 ends the process with a segmentation fault when a write fails while it closes a file.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size


def _write_attribute(file: h5py.File, name: str, value: str | int) -> None:
    if isinstance(value, int):
        file.attrs[name] = value
        return
    text = value.encode(errors="surrogateescape")
    if len(text) > LIMIT_ATTRIBUTE or b"\0" in text:
        raise InputError(
            f"attribute {name}: longer than {LIMIT_ATTRIBUTE} bytes, or contains a NUL"
        )
    file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(len(text), 1)))


def _fill(file: h5py.File, sink: _Sink, pieces: Iterable[Rows], count: int, key_bytes: int) -> None:
    first: Rows | None = None
    stored, hashes = 0, [np.zeros(0, np.int64)]
    for piece in pieces:
        if not len(piece) or sink.error is not None:
            continue
        if first is None:
            first = piece
            _create(file, piece, count, key_bytes)
        check_alike(first, piece)
        _store(file, piece, slice(stored, stored + len(piece)))
        stored += len(piece)
        hashes.append(hash_texts(piece.keys))
    if first is None:
        _create(file, NO_ROWS, 0, 1)
    keys = file["key"].asstr()
    repeated = Lookup(keys, np.concatenate(hashes)).find_repeated()
    if repeated is not None:
        raise InputError(f"key {keys[repeated[0]]!r} is repeated; keys must be unique")


def _create(file: h5py.File, like: Rows, count: int, key_bytes: int) -> None:
    """Create the data sets, without times, so that equal content gives equal bytes."""
    arrays = {
        "maps": like.levels,
        "scale": like.scales,
        "label": like.labels,
        "score": like.scores,
    }
    arrays |= {f"parts/{name}": values for name, values in like.parts.items()}
    for name, values in arrays.items():
        shape = values.shape[1:]
        chunks = None
        if shape and count:
            row = max(values.dtype.itemsize * int(np.prod(shape)), 1)
            chunks = (min(1 << max((CHUNK_BYTES // row).bit_length() - 1, 0), count), *shape)
        file.create_dataset(name, (count, *shape), values.dtype, chunks=chunks, track_times=False)
    file.create_dataset(
        "key", (count,), h5py.string_dtype("utf-8", max(key_bytes, 1)), track_times=False
    )


def _store(file: h5py.File, piece: Rows, here: slice) -> None:
    longest_key(piece.keys)  # refuses keys that cannot be stored
    file["key"][here] = [key.encode() for key in piece.keys]
    file["maps"][here] = piece.levels
    file["scale"][here] = piece.scales
    file["label"][here] = piece.labels
    file["score"][here] = piece.scores
    for name, values in piece.parts.items():
        file["parts"][name][here] = values


def _read_attributes(file: h5py.File, path: Path) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for name in file.attrs:
        if not isinstance(name, str):
            raise InputError(f"{path}: has an attribute whose name is not UTF-8")
        attribute = file.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or (text is None and attribute.dtype.kind not in "iu"):
            raise InputError(f"{path}: attribute {name!r} is neither text nor an integer")
        if text is not None and text.length is None:
            raise InputError(f"{path}: attribute {name!r} {_TOO_OLD}")
        value = file.attrs[name]
        if text is None:
            found[name] = int(value)
        else:
            found[name] = bytes(value).decode()
    return found


def _check_format(attributes: Mapping[str, str | int], path: Path) -> int:
    """Return the version of the format."""
    written = attributes.get("format_version")
    if attributes.get("format") != FORMAT or not isinstance(written, int):
        raise InputError(f"{path}: HDF5, but not a map file (its format is not '{FORMAT}')")
    if not 1 <= written <= FORMAT_VERSION:
        raise InputError(
            f"{path}: map file of format {written}, and this version reads up to {FORMAT_VERSION}; "
            "upgrade focus-forgery"
        )
    return written


def _check_layout(file: h5py.File, path: Path, arrays: Mapping[str, tuple[type, int]]) -> None:
    """Check links, types, shapes and storage of every data set before any of it is read."""
    datasets = {name: _fetch(file, name, path) for name in ("maps", *arrays, "key")}
    count = datasets["maps"].shape[:1]
    for name, dataset in datasets.items():
        if name != "key" and (dataset.dtype, dataset.ndim) != arrays[name]:
            kind, rank = np.dtype(arrays[name][0]), arrays[name][1]
            was = f"{dataset.dtype} of rank {dataset.ndim}"
            raise InputError(f"{path}: /{name} is {was}, not {kind} of rank {rank}")
    _check_keys(datasets["key"], path)
    if not all(1 <= side <= LIMIT_SIDE for side in datasets["maps"].shape[1:]):
        shape = datasets["maps"].shape
        raise InputError(f"{path}: /maps has shape {shape}; sides are from 1 to {LIMIT_SIDE}")
    for name in _part_names(file, path):
        datasets[f"parts/{name}"] = dataset = _fetch(file["parts"], name, path)
        if dataset.dtype.kind not in "fiub":
            raise InputError(f"{path}: /parts/{name} is {dataset.dtype}, not numbers")
    _check_failures(file, path)
    for name, dataset in datasets.items():
        _check_storage(dataset, path)
        if dataset.shape[:1] != count:
            rows = dataset.shape[0] if dataset.ndim else 0
            raise InputError(f"{path}: /{name} has {count_of(rows, 'row')}, /maps has {count[0]}")


def _check_keys(dataset: h5py.Dataset, path: Path) -> None:
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None or dataset.ndim != 1:
        raise InputError(f"{path}: /key is not a 1-D string dataset")
    if text.length is None:
        raise InputError(f"{path}: /key {_TOO_OLD}")
    if text.length > LONGEST_KEY:
        raise InputError(f"{path}: /key has texts of more than {LONGEST_KEY} bytes")


def _check_failures(file: h5py.File, path: Path) -> None:
    if file.id.links.exists(b"failures"):
        dataset = _fetch(file, "failures", path)
        if (dataset.dtype, dataset.ndim) != (np.uint8, 1):
            raise InputError(f"{path}: /failures is not uint8 of rank 1")
        _check_storage(dataset, path)


def _part_names(file: h5py.File, path: Path) -> list[str]:
    if not file.id.links.exists(b"parts"):
        return []
    _check_link(file, "parts", path)
    if not isinstance(file["parts"], h5py.Group):
        raise InputError(f"{path}: /parts is not a group")
    if len(file["parts"]) > LIMIT_PARTS:
        raise InputError(f"{path}: /parts has more than {LIMIT_PARTS} data sets")
    names = list(file["parts"])
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: /parts has a name that is not UTF-8")
    return names


def _fetch(group: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    _check_link(group, name, path)
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: /{name} is not a dataset")
    return dataset


def _check_link(group: h5py.Group, name: str, path: Path) -> None:
    """Refuse a link before it is followed: it could point to any file on the machine."""
    if not group.id.links.exists(name.encode()):
        raise InputError(f"{path}: no dataset /{name}; not a map file, or an incomplete one")
    if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise InputError(f"{path}: /{name} is a link, which is not allowed")


def _check_storage(dataset: h5py.Dataset, path: Path) -> None:
    """Check that data are stored in this file, and that it can contain their declared size."""
    plan = dataset.id.get_create_plist()
    if plan.get_external_count() or plan.get_layout() not in _LAYOUTS:
        raise InputError(f"{path}: {dataset.name} is stored outside the file, which is not allowed")
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if set(filters) - set(_FILTERS):
        raise InputError(
            f"{path}: {dataset.name} uses an unsupported filter (supported: gzip, lzf, shuffle)"
        )
    most = path.stat().st_size * (LIMIT_RATIO if filters else 1)
    limits = ((dataset.shape, most), (dataset.shape[1:], LIMIT_ROW), (dataset.chunks, LIMIT_CHUNK))
    for shape, limit in limits:
        size = dataset.dtype.itemsize * math.prod(map(int, shape or ()))
        if size > limit:
            raise InputError(
                f"{path}: {dataset.name} declares {size} bytes, more than the file can contain"
            )
    if filters and dataset.chunks:
        _check_chunks(dataset, path)


def _check_chunks(dataset: h5py.Dataset, path: Path) -> None:
    """Check that compressed chunks are in the file: HDF5 allocates the size each declares."""
    end = path.stat().st_size

    def check(chunk: h5py.h5d.StoreInfo) -> None:
        if not 0 <= chunk.byte_offset <= chunk.byte_offset + chunk.size <= end:
            raise InputError(f"{path}: {dataset.name} has a chunk beyond the end of the file")

    dataset.id.chunk_iter(check)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
