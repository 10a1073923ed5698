"""Reader of LMDB files, page by page, with every number checked.

The library ``lmdb`` maps the file into memory and trusts it: one damaged file in forty crashed the
process (SIGBUS, SIGABRT). The layout is that of LMDB 0.9 on a 64-bit little-endian machine.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF = 1, 2  # page flags
_LARGE, _NESTED = 1, 6  # value flags: on overflow pages; several values per key
_HEADER, _NODE = struct.Struct("<QHHHH"), struct.Struct("<HHHH")
_META = struct.Struct("<II16xI84xQ8xQ")  # magic, version, page size, root, transaction number
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_NO_PAGE = 2**64 - 1
_DEEPEST = 32


class LmdbFile:
    """Values by key in the file ``data.mdb`` of an LMDB folder.

    Args:
        length: file size in bytes.
        read_at: function of (offset, size) that returns the bytes, or fewer at the end of the file.

    Raises:
        ValueError, struct.error: not an LMDB file, or a damaged one; also raised on reading.
    """

    def __init__(self, length: int, read_at: Callable[[int, int], bytes]) -> None:
        self._length, self._read_at, self._page_size = length, read_at, 4096
        states = [self._read_state(place) for place in (0, 1)]
        known = [state for state in states if state is not None]
        if not known:
            raise ValueError("not an LMDB file of a 64-bit machine")
        _, self._root = max(known)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the keys in order."""
        waiting, left = [self._root], self._length // self._page_size
        while waiting and self._root != _NO_PAGE:
            left -= 1
            if left < 0:
                raise ValueError("its pages form a cycle")
            page = self._read_page(waiting.pop())
            if page.is_leaf:
                yield from map(page.key, range(page.count))
            else:
                waiting += map(page.below, reversed(range(page.count)))

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Return offset and size in the file of the value of a key; None if it is missing."""
        if self._root == _NO_PAGE:
            return None
        page = self._read_page(self._root)
        for _ in range(_DEEPEST):
            if page.is_leaf:
                row = bisect_left(range(page.count), key, key=page.key)
                is_there = row < page.count and page.key(row) == key
                return self._locate(page, row) if is_there else None
            # The first child of a branch covers all keys below the second key.
            row = bisect_right(range(page.count), key, 1, key=page.key) - 1
            page = self._read_page(page.below(row))
        raise ValueError("its pages form a cycle")

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes of the file from ``start``."""
        data = self._read_at(start, size) if start + size <= self._length else b""
        if len(data) < size:
            raise ValueError("part of it is beyond the end of the file")
        return data

    def _read_state(self, place: int) -> tuple[int, int] | None:
        """Return transaction number and root of one of the two meta pages."""
        try:
            page = self.read(place * self._page_size, 16 + _META.size)
        except ValueError:
            return None
        magic, version, page_size, root, number = _META.unpack_from(page, 16)
        if (magic, version) != (_MAGIC, _VERSION) or page_size not in _PAGE_SIZES:
            return None
        self._page_size = page_size
        return number, root

    def _read_page(self, number: int) -> _Page:
        return _Page(number, self.read(number * self._page_size, self._page_size))

    def _locate(self, page: _Page, row: int) -> tuple[int, int]:
        flags, size, place = page.value(row)
        if flags & _NESTED:
            raise ValueError("it has several values per key")
        if flags & _LARGE:
            return int.from_bytes(
                page.data[place : place + 8], "little"
            ) * self._page_size + 16, size
        return page.number * self._page_size + place, size


class _Page:
    """A page of the tree: keys with child pages, or with values."""

    def __init__(self, number: int, data: bytes) -> None:
        itself, _, flags, lower, upper = _HEADER.unpack_from(data)
        self.number, self.data, self.is_leaf = number, data, flags == _LEAF
        self.count = (lower - _HEADER.size) // 2
        is_sound = itself == number and flags in (_BRANCH, _LEAF) and lower <= upper <= len(data)
        if not is_sound or self.count < (not self.is_leaf):
            raise ValueError("a page is damaged")

    def key(self, row: int) -> bytes:
        """Return a key."""
        place, (*_, length) = self._node(row)
        return self.data[place : place + length]

    def below(self, row: int) -> int:
        """Return the number of the child page of a key."""
        _, (low, high, highest, _) = self._node(row)
        return low | high << 16 | highest << 32

    def value(self, row: int) -> tuple[int, int, int]:
        """Return flags, size and offset in the page of the value of a key."""
        place, (low, high, flags, length) = self._node(row)
        return flags, low | high << 16, place + length

    def _node(self, row: int) -> tuple[int, tuple[int, int, int, int]]:
        """Return the offset of a key, and the header before it."""
        (place,) = struct.unpack_from("<H", self.data, _HEADER.size + 2 * row)
        return place + _NODE.size, _NODE.unpack_from(self.data, place)
