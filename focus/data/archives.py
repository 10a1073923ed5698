"""Members of archives, read in place: tar, tar.gz, zip, Parquet, LMDB folders, and COCO masks.

Members are never unpacked under their own names, so none can write into a folder of the user.
"""

from __future__ import annotations

import functools
import gzip
import lzma
import os
import posixpath
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np

from focus.data import parquet
from focus.data.coco import CocoMasks
from focus.data.lmdb_file import LmdbFile
from focus.data.remote import find_url, open_copy
from focus.errors import UnreadableError
from focus.texts import BLOCK, Lookup, TextGatherer

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip", parquet.SUFFIX)
MAX_MEMBER_BYTES = 2**28
MAX_UNPACKED_BYTES = 2**36
OPEN_ARCHIVES = 4
_read_position = getattr(os, "pread", None)  # not on Windows
_ZIP_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
_ZIP_ODD = 0x61  # flags: encrypted, a patch, strongly encrypted
# Errors of the standard library on damaged input; RuntimeError: encrypted, unknown compression.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


def read_member(archive: Path, member: str) -> bytes:
    """Read a member of an archive.

    Each process keeps the last four archives open and shares those opened before a fork. A tar.gz
    has no random access, so it is decompressed once, into an unnamed temporary file. The error of a
    broken archive is cached.

    Raises:
        UnreadableError: a missing or broken archive, no such member, a link, a name that is
            absolute or contains "..", a member over 256 MiB, a tar.gz over 64 GiB.
    """
    return open_archive(archive).read(member)


def member_size(archive: Path, member: str) -> int:
    """Return the uncompressed size of a member in bytes.

    Raises:
        UnreadableError: as in :func:`read_member`.
    """
    return open_archive(archive).size(member)


def list_members(archive: Path) -> list[str]:
    """Return the names of the members that ``read_member`` can read, in archive order.

    Raises:
        UnreadableError: a missing or broken archive.
    """
    return open_archive(archive).names()


def share_archives(archives: Iterable[Path]) -> None:
    """Open archives before processes are forked, unless there are more than can stay open.

    Reading the table of a million members takes twenty seconds, which each process would repeat.
    A broken archive is reported when it is read.
    """
    archives = list(archives)
    for archive in archives if len(archives) <= OPEN_ARCHIVES else ():
        with suppress(UnreadableError):
            open_archive(archive)


class Members(Protocol):
    """Members by name."""

    def names(self) -> list[str]:
        """Return the names that can be read."""
        ...

    def size(self, name: str) -> int:
        """Return the uncompressed size in bytes."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content."""
        ...


class _Member(NamedTuple):
    size: int
    is_file: bool
    read: Callable[[], bytes]


class _Archive:
    """Members by name; a failure is cached, so that a broken archive is opened only once."""

    def __init__(self, path: str) -> None:
        self._failure = ""
        try:
            self._table = _Zip(path) if path.lower().endswith(".zip") else _Tar(path)
        except _DAMAGED as error:
            self._failure = (
                f"the archive is damaged or truncated ({UnreadableError.because(error)})"
            )

    def names(self) -> list[str]:
        if self._failure:
            raise UnreadableError(self._failure)
        return self._table.names()

    def size(self, name: str) -> int:
        return self._find(name).size

    def read(self, name: str) -> bytes:
        member = self._find(name)
        try:
            return member.read()
        except _DAMAGED as error:
            raise UnreadableError(
                f"the member is damaged ({UnreadableError.because(error)})"
            ) from None

    def _find(self, name: str) -> _Member:
        if self._failure:
            raise UnreadableError(self._failure)
        if _escapes(name):
            raise UnreadableError("a member's name must not be absolute or contain '..'")
        member = self._table.find(posixpath.normpath(name))
        if member is None:
            raise UnreadableError("the archive has no such member")
        if not member.is_file:
            raise UnreadableError("the member is a link or a folder; links are not followed")
        if member.size > MAX_MEMBER_BYTES:
            raise UnreadableError("the member is larger than 256 MiB")
        return member


class _Table(ABC):
    """Members in arrays: a million take 100 MB, as objects 1 GB.

    Reading modifies nothing, so forked processes share the arrays and the open file.
    """

    def __init__(self, members: Iterable[tuple[str, Sequence[int]]]) -> None:
        """Store the names and numbers of each member: size, whether it is a file, and more."""
        kept = ((name, known) for name, known in members if not _escapes(name))
        names, numbers = TextGatherer(), array("q")
        while block := list(islice(kept, BLOCK)):
            names.extend([posixpath.normpath(name) for name, _ in block])
            try:
                numbers.extend(chain.from_iterable(known for _, known in block))
            except OverflowError:
                raise ValueError("a member has an impossible size") from None
        self._names = names.finish()
        self._rows = Lookup(self._names)
        self._known = np.array(numbers, dtype=np.int64).reshape(len(self._names), -1)

    def names(self) -> list[str]:
        rows = ((name, self._rows.find(name)) for name in dict.fromkeys(self._names))
        return [name for name, row in rows if row is not None and self._known[row, 1]]

    def find(self, name: str) -> _Member | None:
        row = self._rows.find(name)
        if row is None:
            return None
        size, is_file, *place = self._known[row].tolist()
        return _Member(size, bool(is_file), functools.partial(self._read, size, *place))

    @abstractmethod
    def _read(self, size: int, *place: int) -> bytes: ...


class _Zip(_Table):
    """The members of a zip archive."""

    def __init__(self, path: str) -> None:
        self._file = _open_file(path)
        super().__init__(self._list())

    def _list(self) -> Iterator[tuple[str, Sequence[int]]]:
        with zipfile.ZipFile(self._file) as archive:
            for number, info in enumerate(archive.infolist()):
                # ZipInfo.is_dir() fails for an empty name.
                is_file = info.filename != "" and not info.filename.endswith("/")
                is_file &= not stat.S_ISLNK(info.external_attr >> 16)
                how = info.compress_type if not info.flag_bits & _ZIP_ODD else -1
                place = (number, info.header_offset, info.compress_size, how, info.CRC)
                yield info.filename, (info.file_size, is_file, *place)

    def _read(self, size: int, *place: int) -> bytes:
        number, start, packed_size, how, checksum = place
        if how not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # A copy of a remote file has no name, only a number.
            with zipfile.ZipFile(
                name if isinstance(name := self._file.name, str) else self._file
            ) as archive:
                return archive.read(archive.infolist()[number])
        header = _read_at(self._file, start, _ZIP_HEADER.size)
        signature, *lengths = _ZIP_HEADER.unpack(header)
        if signature != b"PK\3\4" or packed_size > 2 * MAX_MEMBER_BYTES:
            raise ValueError("no header at the offset in the directory")
        data = _read_at(self._file, start + len(header) + sum(lengths), packed_size)
        if how == zipfile.ZIP_DEFLATED:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        if len(data) != size or zlib.crc32(data) != checksum:
            raise ValueError("wrong checksum")
        return data


class _Tar(_Table):
    """The members of a tar archive."""

    def __init__(self, path: str) -> None:
        self._file = _open_plain(path)
        self._sparse: dict[int, Any] = {}  # start in the archive -> [(offset, length)]
        super().__init__(self._list())

    def _list(self) -> Iterator[tuple[str, Sequence[int]]]:
        archive = tarfile.TarFile(fileobj=self._file)
        while (info := archive.next()) is not None:
            # Otherwise it keeps every member, 1 kB each.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.size < 0:
                raise ValueError("a member has an impossible size")
            if info.sparse:
                self._sparse[info.offset_data] = info.sparse
            yield info.name, (info.size, info.isreg(), info.offset_data)

    def _read(self, size: int, *place: int) -> bytes:
        """Read a member; the pieces of a sparse one are stored consecutively."""
        (start,) = place
        data = bytearray(size)
        for offset, length in self._sparse.get(start, [(0, size)]):
            read = _read_at(self._file, start, min(length, MAX_MEMBER_BYTES))
            if len(read) < length or not 0 <= offset <= size - length:
                raise ValueError("unexpected end of data")
            data[offset : offset + length] = read
            start += length
        return bytes(data)


class _Lmdb:
    """Images by key, as in DeepfakeBench: the key is the path, with either separator."""

    def __init__(self, path: str) -> None:
        try:
            # Shared over a fork like a tar.
            self._file = open(os.path.join(path, "data.mdb"), "rb")  # noqa: SIM115
            length = os.fstat(self._file.fileno()).st_size
            self._data = LmdbFile(length, functools.partial(_read_at, self._file))
        except (OSError, ValueError, struct.error) as error:
            raise _damaged_folder(error) from None

    def names(self) -> list[str]:
        try:
            keys = [key.decode(errors="replace") for key in self._data]
        except (OSError, ValueError, struct.error) as error:
            raise _damaged_folder(error) from None
        return [key.replace("\\", "/") for key in keys]

    def size(self, name: str) -> int:
        return self._find(name)[1]

    def read(self, name: str) -> bytes:
        place = self._find(name)
        try:
            return self._data.read(*place)
        except (OSError, ValueError, struct.error) as error:
            raise _damaged_folder(error) from None

    def _find(self, name: str) -> tuple[int, int]:
        try:
            for key in (name.replace("/", "\\"), name):
                place = self._data.find(key.encode(errors="replace"))
                if place is not None and place[1] > MAX_MEMBER_BYTES:
                    raise UnreadableError("the member is larger than 256 MiB")
                if place is not None:
                    return place
        except (OSError, ValueError, struct.error) as error:
            raise _damaged_folder(error) from None
        raise UnreadableError("the LMDB folder has no such key")


def _damaged_folder(error: Exception) -> UnreadableError:
    return UnreadableError(f"the LMDB folder is damaged ({UnreadableError.because(error)})")


def open_archive(path: Path) -> Members:
    """Return the members of an archive, or of a copy of one at a URL; see :func:`read_member`.

    Raises:
        UnreadableError: a missing archive.
    """
    # After a fork an open file shares its position with the parent; with pread, that is harmless.
    process = 0 if _read_position else os.getpid()
    if url := find_url(path):  # what it names is taken to stay the same
        return _cached(url, process, 0, 0)
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise UnreadableError.because(error) from None
    if stat.S_ISDIR(status.st_mode):
        return _cached_lmdb(str(path), process)
    return _cached(str(path), process, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=OPEN_ARCHIVES)
def _cached(path: str, _process: int, _modified: int, _size: int) -> Members:
    name = path.lower()
    if name.endswith(parquet.SUFFIX):
        return parquet.ParquetImages(open_copy(path) if "://" in path else path)
    return CocoMasks(path) if name.endswith(".json") else _Archive(path)


@functools.lru_cache(maxsize=OPEN_ARCHIVES)
def _cached_lmdb(path: str, _process: int) -> _Lmdb:
    return _Lmdb(path)


def _open_file(path: str) -> IO[bytes]:
    """Open a file that stays open with the archive; a remote one is copied first."""
    if "://" in path:
        return open_copy(path)
    return open(path, "rb")


def _open_plain(path: str) -> IO[bytes]:
    """Open a tar file, decompressed if it is a tar.gz."""
    file = _open_file(path)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not is_gzip:
        return file
    plain = tempfile.TemporaryFile()  # noqa: SIM115
    with file, gzip.open(file) as source:
        while chunk := source.read(2**20):
            plain.write(chunk)
            if plain.tell() > MAX_UNPACKED_BYTES:
                raise ValueError("more than 64 GiB unpacked")
    plain.seek(0)
    return plain


def _read_at(file: IO[bytes], start: int, size: int) -> bytes:
    """Read up to ``size`` bytes, if possible without moving the file position."""
    if _read_position is not None:
        return _read_position(file.fileno(), size, start)
    file.seek(start)
    return file.read(size)


def _escapes(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name)
