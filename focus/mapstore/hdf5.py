"""The layout of a map file in HDF5: how it is checked, read and written. Alone imports h5py."""

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

from focus.errors import InputError
from focus.mapstore.heaps import GuardedFile, check_attribute_texts, check_heaps
from focus.mapstore.rows import NO_ROWS, Rows, check_alike
from focus.texts import BLOCK, Lookup, TextGatherer, Texts, hash_texts

FORMAT, FORMAT_VERSION = "focus-maps", 1
CHUNK_BYTES = 65536  # measured at 14x14 and 56x56: a face in 12 us, a scan at the disk's speed
LIMIT_SIDE, LIMIT_TEXT, LIMIT_PARTS = 4096, 4096, 64
LIMIT_ROW, LIMIT_CHUNK = 1 << 25, 1 << 26  # bytes
LIMIT_RATIO = 1100  # deflate cannot pack tighter, so a file that claims more than that lies

_ARRAYS = {"maps": (np.uint8, 3), "label": (np.int8, 1), "score": (np.float32, 1)}
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_LZF)
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])


def open_checked(path: Path) -> tuple[h5py.File, dict[str, str | int]]:
    """Open a map file of unknown origin; return it and its attributes.

    Everything that could lead out of the file, or claim more memory than the file can fill, is
    refused before it is read.

    Raises:
        InputError: a file that is missing, cut short, of another format or version, or whose
            layout is not that of a map file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with GuardedFile(path) as guarded, h5py.File(guarded, "r") as file, naming_damage(path):
            attributes = _read_attributes(file, path)
            _check_format(attributes, path)
            _check_layout(file, path)
        return h5py.File(path, "r", locking=False), attributes
    except (OSError, OverflowError) as error:  # an address behind all ends
        damaged = f"cut short or damaged ({_one_line(error)})"
        what = damaged if h5py.is_hdf5(path) else "no HDF5 file"
        raise InputError(f"{path}: {what}; make it anew with focus generate") from None


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn what h5py raises on damaged data into one line with the name of the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: damaged ({_one_line(error)})") from None


def read_keys(dataset: h5py.Dataset, path: Path) -> Texts:
    """Return all keys of a file.

    Raises:
        InputError: a key longer than 4096 bytes, or one that is not UTF-8.
    """
    if h5py.check_string_dtype(dataset.dtype).length is None and len(dataset):
        for references in _raw_references(dataset, path):
            if references["length"].max(initial=0) > LIMIT_TEXT:
                raise InputError(f"{path}: /key holds a text of more than {LIMIT_TEXT} bytes")
            check_heaps(path, references["address"])
    gathered = TextGatherer()
    try:
        for start in range(0, len(dataset), BLOCK):
            gathered.extend([key.decode() for key in dataset[start : start + BLOCK].tolist()])
        return gathered.finish()
    except UnicodeDecodeError:
        raise InputError(f"{path}: /key holds text that is not UTF-8") from None


def read_rows(dataset: h5py.Dataset, rows: Sequence[int] | np.ndarray | slice | int) -> np.ndarray:
    """Return one row of a data set, or some in the order asked, each chunk being read once."""
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
    path: Path, attributes: Mapping[str, str | int], pieces: Iterable[Rows], count: int
) -> None:
    """Write ``count`` faces, given in pieces, and flush them to the disk.

    The same faces and attributes give the same bytes.

    Raises:
        OSError: the disk is full or cannot be written.
        InputError: a key that stands twice or is no text, or maps of two sizes.
    """
    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w", libver=("earliest", "v110")) as file:
                everything = {"format": FORMAT, "format_version": FORMAT_VERSION, **attributes}
                for name, value in everything.items():
                    file.attrs[name] = value
                _fill(file, sink, pieces, count)
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


def _fill(file: h5py.File, sink: _Sink, pieces: Iterable[Rows], count: int) -> None:
    first: Rows | None = None
    stored, hashes = 0, [np.zeros(0, np.int64)]
    for piece in pieces:
        if not len(piece) or sink.error is not None:
            continue
        if first is None:
            first = piece
            _create(file, piece, count)
        check_alike(first, piece)
        _store(file, piece, slice(stored, stored + len(piece)))
        stored += len(piece)
        hashes.append(hash_texts(piece.keys))
    if first is None:
        _create(file, NO_ROWS, 0)
    keys = file["key"].asstr()
    repeated = Lookup(keys, np.concatenate(hashes)).find_repeated()
    if repeated is not None:
        raise InputError(f"key {keys[repeated[0]]!r} stands twice; keys must be unique")


def _create(file: h5py.File, like: Rows, count: int) -> None:
    """Make the data sets; times are left out so that equal content is equal bytes."""
    arrays = {"maps": like.levels, "label": like.labels, "score": like.scores}
    arrays |= {f"parts/{name}": values for name, values in like.parts.items()}
    for name, values in arrays.items():
        shape = values.shape[1:]
        chunks = None
        if shape and count:
            row = max(values.dtype.itemsize * int(np.prod(shape)), 1)
            chunks = (min(1 << max((CHUNK_BYTES // row).bit_length() - 1, 0), count), *shape)
        file.create_dataset(name, (count, *shape), values.dtype, chunks=chunks, track_times=False)
    file.create_dataset("key", (count,), h5py.string_dtype(), track_times=False)


def _store(file: h5py.File, piece: Rows, here: slice) -> None:
    try:
        file["key"][here] = list(piece.keys)
    except ValueError as error:
        raise InputError(f"a key cannot be stored ({error}); rename the file") from None
    file["maps"][here] = piece.levels
    file["label"][here] = piece.labels
    file["score"][here] = piece.scores
    for name, values in piece.parts.items():
        file["parts"][name][here] = values


def _read_attributes(file: h5py.File, path: Path) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    check_attribute_texts(path, h5py.h5o.get_info(file.id).addr)
    for name in file.attrs:
        if not isinstance(name, str):
            raise InputError(f"{path}: has an attribute whose name is not UTF-8")
        attribute = file.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or (text is None and attribute.dtype.kind not in "iu"):
            raise InputError(f"{path}: attribute {name!r} is neither text nor a whole number")
        value = file.attrs[name]
        if text is None:
            found[name] = int(value)
        else:
            # What is not UTF-8 comes as half of surrogate pairs: it is refused here.
            found[name] = value.encode().decode() if isinstance(value, str) else value.decode()
    return found


def _check_format(attributes: Mapping[str, str | int], path: Path) -> None:
    written = attributes.get("format_version")
    if attributes.get("format") != FORMAT or not isinstance(written, int):
        raise InputError(f"{path}: HDF5, but no map file (its format is not '{FORMAT}')")
    if written != FORMAT_VERSION:
        raise InputError(
            f"{path}: map file of format {written}, and this version reads {FORMAT_VERSION}; "
            "upgrade focus-forgery"
        )


def _check_layout(file: h5py.File, path: Path) -> None:
    """Check links, types, shapes and storage of every data set before any of it is read."""
    datasets = {name: _fetch(file, name, path) for name in ("maps", "key", "label", "score")}
    count = datasets["maps"].shape[:1]
    for name, dataset in datasets.items():
        if name != "key" and (dataset.dtype, dataset.ndim) != _ARRAYS[name]:
            kind, rank = np.dtype(_ARRAYS[name][0]), _ARRAYS[name][1]
            was = f"{dataset.dtype} of rank {dataset.ndim}"
            raise InputError(f"{path}: /{name} is {was}, not {kind} of rank {rank}")
    text = h5py.check_string_dtype(datasets["key"].dtype)
    if text is None or datasets["key"].ndim != 1 or (text.length or 0) > LIMIT_TEXT:
        raise InputError(f"{path}: /key is no list of texts")
    if not all(1 <= side <= LIMIT_SIDE for side in datasets["maps"].shape[1:]):
        shape = datasets["maps"].shape
        raise InputError(f"{path}: /maps has shape {shape}; sides are from 1 to {LIMIT_SIDE}")
    for name in _part_names(file, path):
        datasets[f"parts/{name}"] = dataset = _fetch(file["parts"], name, path)
        if dataset.dtype.kind not in "fiub":
            raise InputError(f"{path}: /parts/{name} holds {dataset.dtype}, not numbers")
    for name, dataset in datasets.items():
        _check_storage(dataset, path)
        if dataset.shape[:1] != count:
            rows = dataset.shape[0] if dataset.ndim else 0
            raise InputError(f"{path}: /{name} has {rows} rows, /maps has {count[0]}")


def _part_names(file: h5py.File, path: Path) -> list[str]:
    if not file.id.links.exists(b"parts"):
        return []
    _check_link(file, "parts", path)
    if not isinstance(file["parts"], h5py.Group):
        raise InputError(f"{path}: /parts is no group")
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
        raise InputError(f"{path}: /{name} is no data set")
    return dataset


def _check_link(group: h5py.Group, name: str, path: Path) -> None:
    """Refuse a link before it is followed: it could name any file of the machine."""
    if not group.id.links.exists(name.encode()):
        raise InputError(f"{path}: no data set /{name}; it is no map file, or not a whole one")
    if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise InputError(f"{path}: /{name} is a link to elsewhere, which is refused")


def _check_storage(dataset: h5py.Dataset, path: Path) -> None:
    """Check that data lie in this file, and that the file can hold what they claim to be."""
    plan = dataset.id.get_create_plist()
    if plan.get_external_count() or plan.get_layout() not in _LAYOUTS:
        raise InputError(f"{path}: {dataset.name} lies outside the file, which is refused")
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if set(filters) - set(_FILTERS):
        raise InputError(f"{path}: {dataset.name} is packed by other than gzip, lzf or shuffle")
    most = path.stat().st_size * (LIMIT_RATIO if filters else 1)
    limits = ((dataset.shape, most), (dataset.shape[1:], LIMIT_ROW), (dataset.chunks, LIMIT_CHUNK))
    for shape, limit in limits:
        size = dataset.dtype.itemsize * math.prod(map(int, shape or ()))
        if size > limit:
            raise InputError(f"{path}: {dataset.name} claims {size} bytes, more than can be")
    if filters and dataset.chunks:
        _check_chunks(dataset, path)


def _check_chunks(dataset: h5py.Dataset, path: Path) -> None:
    """Check that packed chunks lie inside the file: HDF5 takes the memory that each claims."""
    end = path.stat().st_size

    def check(chunk: h5py.h5d.StoreInfo) -> None:
        if not 0 <= chunk.byte_offset <= chunk.byte_offset + chunk.size <= end:
            raise InputError(f"{path}: {dataset.name} has a chunk that ends behind the file")

    dataset.id.chunk_iter(check)


def _raw_references(dataset: h5py.Dataset, path: Path) -> Iterator[np.ndarray]:
    """Yield the stored references to texts, whose lengths tell how much reading them takes."""
    offset = dataset.id.get_offset()
    plan = dataset.id.get_create_plist()
    if offset is not None:
        yield np.fromfile(path, _REFERENCE, len(dataset), offset=offset)
    elif dataset.chunks and not plan.get_nfilters():
        for (here,) in dataset.iter_chunks():
            yield np.frombuffer(dataset.id.read_direct_chunk((here.start,))[1], _REFERENCE)
    else:
        raise InputError(f"{path}: /key is packed; store it plainly")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
