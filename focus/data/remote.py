"""Files in object storage or on a server, through fsspec: ``s3://``, ``gs://``, ``https://``, ...

A path in an index or a map file may contain a URL. ``Path`` joins the two slashes of a URL into
one; :func:`find_url` restores them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from focus.errors import InputError, UnreadableError, shorten
from focus.files import make_folder

# Two letters or more: a single one is a drive of Windows.
_URL = re.compile(r"(?:^|/)([a-z][a-z0-9+]+):/+(.+)$", re.DOTALL)
_INSTALL = "pip install 'focus-forgery[remote]', and s3fs for s3:// or gcsfs for gs://"
_MOST_BYTES = 2**36
_STORES = ("s3://", "s3a://", "gs://", "gcs://", "az://", "abfs://")
"""Object storage: it has no folders, and making one may make a bucket."""


def is_url(text: str) -> bool:
    """Return whether a text starts like a URL."""
    return re.match(r"[a-z][a-z0-9+]+://", text) is not None


def find_url(path: Path | str) -> str:
    """Return the URL that a path contains; empty if it is local."""
    text = str(path)
    found = _URL.search(text) if ":/" in text else None
    return f"{found[1]}://{found[2]}" if found and not os.path.exists(text) else ""


def open_copy(url: str) -> IO[bytes]:
    """Copy a file from a URL into an unnamed temporary file, and return that.

    Raises:
        UnreadableError: missing, not permitted, larger than 64 GiB, or a package is missing.
    """
    plain = tempfile.TemporaryFile()  # noqa: SIM115 (stays open with the archive)
    try:
        with _open_filesystem(url) as (system, path), system.open(path, "rb") as source:
            while chunk := source.read(2**22):
                plain.write(chunk)
                if plain.tell() > _MOST_BYTES:
                    raise UnreadableError("larger than 64 GiB")
    except _RemoteError as error:
        plain.close()
        raise UnreadableError(str(error)) from None
    plain.seek(0)
    return plain


@contextmanager
def write_through(out: str, replace: bool = False) -> Iterator[Path]:
    """Yield the local path to write for ``out``; for a URL, upload it at the end.

    The local folder of a URL is below the folder of temporary files, with a name that depends on
    the URL alone, and is removed after the upload: a run that was stopped resumes on the same
    machine. A file that exists at the URL is fetched first, as if it were local.

    Args:
        out: local path or URL.
        replace: do not fetch a file that exists.

    Raises:
        InputError: the URL cannot be read or written.
    """
    if not is_url(out):
        yield Path(out)
        return
    name = hashlib.sha256(out.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir(), f"focus-{name}")
    local = folder / (out.rpartition("/")[2] or "out")
    make_folder(folder)
    try:
        with _open_filesystem(out) as (system, path):
            _check_bucket(out, system, path)
            if not replace and not any(folder.iterdir()) and system.exists(path):
                system.get_file(path, str(local))
            before = _stamp(local)
    except _RemoteError as error:
        raise InputError(f"{out}: {error}") from None
    yield local
    try:
        with _open_filesystem(out) as (system, path):
            parent = path.rpartition("/")[0]
            if not out.startswith(_STORES):
                system.makedirs(parent, exist_ok=True)
            for file in sorted(folder.iterdir()) if _stamp(local) != before else []:
                if file.is_file() and not file.name.startswith("."):
                    system.put_file(str(file), f"{parent}/{file.name}")
    except _RemoteError as error:
        raise InputError(
            f"{out}: {error}; the file is complete in {local}, re-run the same command to upload it"
        ) from None
    shutil.rmtree(folder)


def _check_bucket(url: str, system: Any, path: str) -> None:
    """Refuse object storage whose bucket does not exist, before anything is computed."""
    bucket = path.partition("/")[0]
    if url.startswith(_STORES):
        try:
            is_there = system.exists(bucket)
        except PermissionError:  # may not be listed; perhaps it may be written
            return
        if not is_there:
            raise _RemoteError(f"no bucket {bucket}")


class _RemoteError(Exception):
    """A file system that cannot be used, with the reason in one line."""


@contextmanager
def _open_filesystem(url: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URL and the path in it; turn its errors into one kind."""
    try:
        import fsspec

        yield fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise _RemoteError(f"{shorten(error, 100)}: {_INSTALL}") from None
    except FileNotFoundError:
        raise _RemoteError("no such file") from None
    except (_RemoteError, UnreadableError, KeyboardInterrupt):
        raise
    except Exception as error:  # each file system has errors of its library
        raise _RemoteError(shorten(f"{type(error).__name__} {error}", 200)) from None


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and modification time, which change when a file is replaced."""
    if not path.exists():
        return 0, 0
    status = path.stat()
    return status.st_size, status.st_mtime_ns
