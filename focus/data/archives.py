"""Members of tar, tar.gz and zip archives and of LMDB folders, read in place.

Nothing is ever unpacked under its own name, so no member can reach a folder of the user.
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
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from focus.errors import UnreadableError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_MEMBER_BYTES = 2**28
MAX_UNPACKED_BYTES = 2**36
OPEN_ARCHIVES = 4
# What the standard library raises on damaged input; RuntimeError: encrypted, unknown compression.
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

    Each process keeps the last four archives open. A tar.gz allows no jumps, so it is decompressed
    once, into a nameless temporary file; a broken archive is remembered as broken.

    Raises:
        UnreadableError: a missing or broken archive, no such member, a link, a name that is
            absolute or holds "..", a member over 256 MiB, a tar.gz over 64 GiB.
    """
    return _open(archive).read(member)


def list_members(archive: Path) -> list[str]:
    """Return the names of the members that ``read_member`` can read, in archive order.

    Raises:
        UnreadableError: a missing or broken archive.
    """
    return _open(archive).names()


class _Members(Protocol):
    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


class _Member(NamedTuple):
    size: int
    is_file: bool
    read: Callable[[], bytes]


class _Archive:
    """Members by name; a failure is kept, so that a broken archive is opened once only."""

    def __init__(self, path: str) -> None:
        self._members: dict[str, _Member] = {}
        self._failure = ""
        try:
            if path.lower().endswith(".zip"):
                self._enter_zip(zipfile.ZipFile(path))
            else:
                self._enter_tar(tarfile.TarFile(fileobj=_open_plain(path)))
        except _DAMAGED as error:
            self._failure = (
                f"the archive is damaged or truncated ({UnreadableError.because(error)})"
            )

    def names(self) -> list[str]:
        if self._failure:
            raise UnreadableError(self._failure)
        return [name for name, member in self._members.items() if member.is_file]

    def read(self, name: str) -> bytes:
        if self._failure:
            raise UnreadableError(self._failure)
        if _escapes(name):
            raise UnreadableError("a member's name may not be absolute or hold '..'")
        member = self._members.get(posixpath.normpath(name))
        if member is None:
            raise UnreadableError("the archive has no such member")
        if not member.is_file:
            raise UnreadableError("the member is a link or a folder; links are not followed")
        if member.size > MAX_MEMBER_BYTES:
            raise UnreadableError("the member is larger than 256 MiB")
        try:
            return member.read()
        except _DAMAGED as error:
            raise UnreadableError(
                f"the member is damaged ({UnreadableError.because(error)})"
            ) from None

    def _enter_zip(self, archive: zipfile.ZipFile) -> None:
        for info in archive.infolist():
            is_file = not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
            self._enter(info.filename, info.file_size, is_file, archive.read, info)

    def _enter_tar(self, archive: tarfile.TarFile) -> None:
        for info in archive.getmembers():
            self._enter(info.name, info.size, info.isreg(), _extract, archive, info)

    def _enter(
        self, name: str, size: int, is_file: bool, read: Callable[..., bytes], *args: object
    ) -> None:
        if not _escapes(name):
            member = _Member(size, is_file, functools.partial(read, *args))
            self._members[posixpath.normpath(name)] = member


class _Lmdb:
    """Pictures by key, as DeepfakeBench stores them: the path, with either separator."""

    def __init__(self, path: str) -> None:
        try:
            import lmdb
        except ImportError:
            reason = "an LMDB folder needs the package lmdb: pip install 'focus-forgery[lmdb]'"
            raise UnreadableError(reason) from None
        try:
            self._data = lmdb.open(path, readonly=True, lock=False, readahead=False, create=False)
        except lmdb.Error as error:
            raise UnreadableError(f"the LMDB folder is damaged ({error})") from None

    def names(self) -> list[str]:
        with self._data.begin() as view:
            keys = [key.decode(errors="replace") for key, _ in view.cursor()]
        return [key.replace("\\", "/") for key in keys]

    def read(self, name: str) -> bytes:
        with self._data.begin(buffers=True) as view:
            for key in (name.replace("/", "\\"), name):
                value = view.get(key.encode())
                if value is not None and len(value) > MAX_MEMBER_BYTES:
                    raise UnreadableError("the member is larger than 256 MiB")
                if value is not None:
                    return bytes(value)
        raise UnreadableError("the LMDB folder has no such key")


def _open(path: Path) -> _Members:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise UnreadableError.because(error) from None
    if stat.S_ISDIR(status.st_mode):
        return _cached_lmdb(str(path))
    return _cached(str(path), os.getpid(), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=OPEN_ARCHIVES)
def _cached(path: str, _process: int, _modified: int, _size: int) -> _Archive:
    # The process is part of the key: after a fork an open file shares its position with the parent.
    return _Archive(path)


@functools.lru_cache(maxsize=OPEN_ARCHIVES)
def _cached_lmdb(path: str) -> _Lmdb:
    # Shared over a fork, unlike files: it is memory that is only read, without a position or locks,
    # and LMDB refuses to open a folder twice.
    return _Lmdb(path)


def _open_plain(path: str) -> IO[bytes]:
    """Open a tar file, decompressed if it is a tar.gz."""
    file: IO[bytes] = open(path, "rb")  # noqa: SIM115 (stays open with the archive)
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


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    return file.read() if file else b""


def _escapes(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name)
