"""The heaps in which HDF5 keeps texts, checked before HDF5 walks through them.

HDF5 2.0 walks from object to object by their sizes, and never ends where a free one has size 0: a
single damaged byte, and a process that not even Ctrl-C stops. It also takes the memory that a heap
claims to be of: up to 4 GB for a file of 10 KB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_SIGNATURE = b"GCOL"
_HEADER = 16  # bytes, of a heap and of each object in it
_OBJECT = np.dtype([("number", "<u2"), ("unused", "V6"), ("size", "<u8")])
_ATTRIBUTE, _CONTINUATION, _VARIABLE = 12, 16, 9  # of messages in a header; a class of types
_MOST_BLOCKS = 1000
_MOST_OBJECTS = 65536 // _HEADER  # HDF5 lets a heap grow to 64 KiB, or be one longer text


class GuardedFile(io.FileIO):
    """A file for ``h5py.File`` that checks every heap which HDF5 is about to read.

    Slower than HDF5's own access: for the opening of a file, not for its maps.
    """

    def readinto(self, buffer: object) -> int | None:
        """Read, and check the heaps that begin there.

        Raises:
            OSError: a heap is damaged.
        """
        start, view = self.tell(), memoryview(buffer)  # type: ignore[arg-type]
        count = super().readinto(view)
        data, places, at = bytes(view), [], -1
        while (at := data.find(_SIGNATURE, at + 1)) >= 0:
            places.append(start + at)
        if places:
            check_heaps(Path(str(self.name)), np.array(places, np.uint64))
        return count


def check_heaps(path: Path, addresses: np.ndarray) -> None:
    """Walk through the heaps at some places of a file, all of them at once.

    Args:
        path: the file.
        addresses: unsigned (N,); what is no heap, HDF5 refuses by itself.

    Raises:
        OSError: HDF5 would not come to the end of one, or take memory beyond the file's own size.
    """
    content = np.memmap(path, np.uint8, "r")
    at = np.unique(addresses)
    at = at[at < len(content) - min(_HEADER, len(content))].astype(np.int64)
    heads = _gather(content, at)
    at = at[(heads[:, :4] == np.frombuffer(_SIGNATURE, np.uint8)).all(axis=1)]
    end = at + _sizes(_gather(content, at), len(content))
    if (end > len(content)).any():
        raise OSError("a heap of its texts ends behind the file")
    at = at + _HEADER
    for _ in range(_MOST_OBJECTS):
        inside = at + _HEADER <= end
        at, end = at[inside], end[inside]
        if not len(at):
            return
        heads = _gather(content, at)
        size, is_free = _sizes(heads, len(content)), heads.view(_OBJECT)["number"][:, 0] == 0
        at = at + np.where(is_free, size, _HEADER + (size + 7) // 8 * 8)
        if (is_free & (size == 0)).any():
            break
    raise OSError("a heap of its texts has no end")


def _gather(content: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the headers at some places: uint8 (N, 16)."""
    return np.ascontiguousarray(content[at[:, None] + np.arange(_HEADER)])


def _sizes(heads: np.ndarray, most: int) -> np.ndarray:
    return np.minimum(heads.view(_OBJECT)["size"][:, 0], most).astype(np.int64)


def check_attribute_texts(path: Path, address: int) -> None:
    """Check the length that each text among the attributes of a group claims to be of.

    Args:
        path: the file.
        address: of the group's header. What is not kept there (attributes that HDF5 stores densely,
            in files of its newest layout) is not checked.

    Raises:
        OSError: HDF5 would take more memory for one than the file is long.
    """
    content = np.memmap(path, np.uint8, "r")
    for message in _list_attributes(content, address):
        version, name, kind, space = struct.unpack_from("<BxHHH", message)
        padding = 8 if version == 1 else 1
        start = 8 + (version == 3)
        start += -(-name // padding) * padding
        if start < len(message) and message[start] & 15 == _VARIABLE:
            start += -(-kind // padding) * padding + -(-space // padding) * padding
            if int.from_bytes(message[start : start + 4], "little") > len(content):
                raise OSError("an attribute claims to be longer than the file")


def _list_attributes(content: np.ndarray, address: int) -> Iterator[bytes]:
    """Yield the attributes in an object's header, of HDF5's first layout or its second."""
    start = bytes(content[address : address + 40])
    if len(start) < 40:
        return
    is_new = start.startswith(b"OHDR")
    flags = start[5] if is_new else 0
    if is_new:
        at = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        blocks = [(address + at + width, int.from_bytes(start[at : at + width], "little"))]
    else:
        blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
    head = struct.Struct("<BHB" + ("xx" if flags & 4 else "") if is_new else "<HHB3x")
    for place, length in blocks:  # grows
        block, at = bytes(content[place : place + length]), 0
        while at + head.size <= len(block) and len(blocks) < _MOST_BLOCKS:
            kind, size, _ = head.unpack_from(block, at)
            message = block[at + head.size : at + head.size + size]
            if kind == _CONTINUATION and size >= 16:
                there, length = struct.unpack_from("<QQ", message)
                blocks.append((there + 4, length - 8) if is_new else (there, length))
            elif kind == _ATTRIBUTE and size >= 16:
                yield message
            at += head.size + size
