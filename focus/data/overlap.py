"""Faces that two indexes share: the same file, the same bytes, or the same video.

A file is identified by device and inode, so that links, linked folders and other spellings of a
path count as the same file. Bytes are compared only where sizes agree: first a block from the
middle of each file, then a digest of the whole file.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple

import cv2
import numpy as np

from focus.data.archives import member_size, read_member
from focus.data.doctor.duplicates import find_lookalikes
from focus.data.doctor.looking import hash_image
from focus.data.images import read_face, split_path
from focus.data.index import FaceIndex
from focus.errors import InputError, UnreadableError

BLOCK = 4096
MOST_IMAGES = 1000
"""Most faces of each side (one per video) whose appearance is compared."""
_PER_VIDEO, _MOST_VIDEOS = 3, 100
_THREADS = 8
_ONE_AT_A_TIME = Lock()  # open archives and videos are shared between threads


class Overlap(NamedTuple):
    """The faces or videos that one index shares with another."""

    unit: Literal["faces", "videos"]
    names: list[str]
    """Keys of the faces, or names of the videos."""
    reason: str
    """The evidence for the first of them."""

    def describe(self, verb: str) -> str:
        """Return ``3 of its faces are VERB on, such as KEY (REASON)``."""
        count, first = len(self.names), self.names[0]
        are = "are" if count > 1 else "is"
        return f"{count:,} of its {self.unit} {are} {verb} on, such as {first} ({self.reason})"


class FileTable:
    """The files of an index, each read at most once over all comparisons.

    Args:
        index: the faces; files may be missing.
    """

    def __init__(self, index: FaceIndex) -> None:
        self.index = index
        self._stats: dict[str, tuple[Hashable, int]] = {}
        places: dict[_Item, int] = {}
        found = (_Item.of(index.root, key) for key in index.keys)
        self._place = np.array([places.setdefault(item, len(places)) for item in found], np.int64)
        self._items = list(places)
        self.identities = [self._identify(item) for item in self._items]
        """Identity of each file."""
        self.sizes = np.array([self._size(item) for item in self._items], dtype=np.int64)
        """Size of each file in bytes; 0 if it cannot be read."""
        self._blocks, self._digests = np.zeros((2, len(places)), dtype=np.uint64)

    def keys(self, files: Iterable[int]) -> list[str]:
        """Return the keys of the faces that are in the given files."""
        rows = np.flatnonzero(np.isin(self._place, np.fromiter(files, np.int64)))
        return [self.index.keys[row] for row in rows.tolist()]

    def folder(self, row: int) -> Hashable:
        """Return the identity of the folder (or of archive and folder in it) of a face's file."""
        item = self._items[self._place[row]]
        if item.member:
            return self._stat(item.file)[0], posixpath.dirname(item.member)
        return self._stat(os.path.dirname(item.file))[0]

    def blocks(self, files: np.ndarray) -> np.ndarray:
        """Return digests of a block from the middle of files, uint64; 0: cannot be read."""
        return self._fill(self._blocks, files, _digest_block)

    def digests(self, files: np.ndarray) -> np.ndarray:
        """Return digests of whole files, uint64; 0: cannot be read."""
        return self._fill(self._digests, files, _digest_file)

    def _fill(
        self, table: np.ndarray, files: np.ndarray, function: Callable[[_Item], int]
    ) -> np.ndarray:
        missing = files[table[files] == 0]
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(function, [self._items[file] for file in missing.tolist()])
            table[missing] = np.fromiter(found, np.uint64, len(missing))
        return table[files]

    def _identify(self, item: _Item) -> Hashable:
        identity = self._stat(item.file)[0]
        return (identity, item.member) if item.member else identity

    def _size(self, item: _Item) -> int:
        if not item.member:
            return self._stat(item.file)[1]
        try:
            return member_size(Path(item.file), item.member)
        except UnreadableError:
            return 0

    def _stat(self, path: str) -> tuple[Hashable, int]:
        """Return identity and size of a file or folder; if missing, its path is its identity."""
        if path not in self._stats:
            try:
                found = os.stat(path)
                identity: Hashable = (found.st_dev, found.st_ino, found.st_size)
                self._stats[path] = identity if found.st_ino else path, found.st_size
            except (OSError, ValueError):
                self._stats[path] = os.path.realpath(path), 0
        return self._stats[path]


def find_overlap(known: FileTable, other: FileTable) -> Overlap | None:
    """Return the overlap of ``other`` with ``known``, None if none was found.

    Checked in this order: faces of the same file, faces of the same bytes, videos of the same name
    below the same root or in the same folder, and videos of the same name elsewhere whose images
    look alike (at most a hundred such videos, three faces each).
    """
    return (
        _find_same_files(known, other)
        or _find_same_bytes(known, other)
        or _find_same_videos(known, other)
    )


def check_val(train: FileTable, val: FileTable) -> None:
    """Fail if the faces on which weights are selected overlap with the training faces.

    Raises:
        InputError: they overlap; the message names the number, an example and the reason.
    """
    if overlap := find_overlap(train, val):
        raise InputError(
            f"split val: {overlap.describe('trained')}; weights are selected on val, which must "
            "not overlap with train. Fix the split column, or remove it and use --hold-out 0.1 "
            "(copies of a face need the same video name)"
        )


def find_similar(known: FaceIndex, other: FaceIndex) -> list[tuple[str, str]]:
    """Return pairs of keys, of ``other`` and of ``known``, whose images look alike.

    One face per video of each side is compared, at most 1,000 spread evenly.
    """
    rows = [_one_per_video(index) for index in (known, other)]
    return _find_lookalikes(known, rows[0], other, rows[1])


class _Item(NamedTuple):
    """A file, or a member of an archive."""

    file: str
    member: str

    @classmethod
    def of(cls, root: Path, key: str) -> _Item:
        where = split_path(key)
        file = os.path.normpath(os.path.join(root, where.file))
        return cls(file, posixpath.normpath(where.member) if where.member else "")


def _find_same_files(known: FileTable, other: FileTable) -> Overlap | None:
    first = {identity: file for file, identity in enumerate(known.identities)}
    files = [file for file, identity in enumerate(other.identities) if identity in first]
    if not files:
        return None
    keys = other.keys(files)
    own = first[other.identities[files[0]]]
    return Overlap("faces", keys, f"the same file as {known.keys([own])[0]}")


def _find_same_bytes(known: FileTable, other: FileTable) -> Overlap | None:
    ours, theirs = np.arange(len(known.sizes)), np.arange(len(other.sizes))
    ours, theirs = _meet(known.sizes, ours, other.sizes, theirs)
    for read in (FileTable.blocks, FileTable.digests):
        ours, theirs = _meet(read(known, ours), ours, read(other, theirs), theirs)
    if not len(theirs):
        return None
    same = ours[known.digests(ours) == other.digests(theirs[:1])]
    return Overlap("faces", other.keys(theirs), f"the same bytes as {known.keys(same)[0]}")


def _meet(
    ours: np.ndarray, our_files: np.ndarray, theirs: np.ndarray, their_files: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the files of each side whose value (not 0) also occurs on the other side."""
    shared = np.intersect1d(ours, theirs)
    shared = shared[shared != 0]
    return our_files[np.isin(ours, shared)], their_files[np.isin(theirs, shared)]


def _find_same_videos(known: FileTable, other: FileTable) -> Overlap | None:
    ours, theirs = (_group_by_video(table.index) for table in (known, other))
    names = sorted(ours.keys() & theirs.keys())
    one_root = known.index.root.resolve() == other.index.root.resolve()
    shared = [
        name
        for name in names
        if one_root
        or {known.folder(row) for row in ours[name]} & {other.folder(row) for row in theirs[name]}
    ]
    if shared:
        return Overlap("videos", shared, "the same name in the same place")
    names = names[:_MOST_VIDEOS]
    rows = [
        np.array([row for name in names for row in _spread(groups[name], _PER_VIDEO)], dtype=int)
        for groups in (ours, theirs)
    ]
    pairs = _find_lookalikes(known.index, rows[0], other.index, rows[1])
    videos = [dict(zip(t.index.keys, t.index.column("video"), strict=True)) for t in (known, other)]
    shared = [videos[1][theirs] for theirs, ours in pairs if videos[0][ours] == videos[1][theirs]]
    if shared:
        return Overlap("videos", list(dict.fromkeys(shared)), "the same name and similar images")
    return None


def _find_lookalikes(
    known: FaceIndex, known_rows: np.ndarray, other: FaceIndex, other_rows: np.ndarray
) -> list[tuple[str, str]]:
    """Return pairs of keys, of ``other`` and of ``known``, that look alike."""
    parts = ((known, known_rows), (other, other_rows))
    with ThreadPoolExecutor(_THREADS) as pool:
        hashes = [
            list(pool.map(lambda row, index=index: _hash_face(index, row), rows.tolist()))
            for index, rows in parts
        ]
    values = np.array([*hashes[0], *hashes[1]], dtype=np.uint64).reshape(-1, 2)
    sides = np.repeat(np.array([0, 1], dtype=np.int8), [len(part) for part in hashes])
    keys = [index.keys[row] for index, rows in parts for row in rows.tolist()]
    first, second = find_lookalikes(values[:, 0], values[:, 1], sides)
    return [(keys[b], keys[a]) for a, b in zip(first.tolist(), second.tolist(), strict=True)]


def _hash_face(index: FaceIndex, row: int) -> tuple[int, int]:
    """Return the two perceptual hashes of a face, (0, 0) if it cannot be read."""
    key, where = index.keys[row], split_path(index.keys[row])
    shared = where.member or where.frame is not None
    try:
        with _ONE_AT_A_TIME if shared else nullcontext():
            image = read_face(index.root, key, index.column("box")[row], smallest=64)
    except UnreadableError:
        return 0, 0
    return hash_image(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _one_per_video(index: FaceIndex) -> np.ndarray:
    names = [video or key for video, key in zip(index.column("video"), index.keys, strict=True)]
    firsts = list({name: row for row, name in reversed(list(enumerate(names)))}.values())
    return np.array(_spread(sorted(firsts), MOST_IMAGES), dtype=int)


def _group_by_video(index: FaceIndex) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for row, video in enumerate(index.column("video")):
        if video:
            groups.setdefault(video, []).append(row)
    return groups


def _spread(rows: Sequence[int], most: int) -> list[int]:
    """Return at most ``most`` of the rows, spread evenly."""
    places: Iterable[int] = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return [rows[place] for place in places]


def _digest_block(item: _Item) -> int:
    def read() -> Iterator[bytes]:
        if item.member:
            data = read_member(Path(item.file), item.member)
            yield data[max(len(data) - BLOCK, 0) // 2 :][:BLOCK]
            return
        with open(item.file, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - BLOCK, 0) // 2)
            yield file.read(BLOCK)

    return _digest(item, read)


def _digest_file(item: _Item) -> int:
    def read() -> Iterator[bytes]:
        if item.member:
            yield read_member(Path(item.file), item.member)
            return
        with open(item.file, "rb") as file:
            while part := file.read(1 << 20):
                yield part

    return _digest(item, read)


def _digest(item: _Item, read: Callable[[], Iterable[bytes]]) -> int:
    """Return a digest of the bytes, 0 if they cannot be read; archives are read one at a time."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        with _ONE_AT_A_TIME if item.member else nullcontext():
            for part in read():
                digest.update(part)
    except (OSError, UnreadableError):
        return 0
    return int.from_bytes(digest.digest(), "little")
