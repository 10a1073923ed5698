"""Write files atomically, and report paths that cannot be written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from focus.cells import write_rows
from focus.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TEMPORARY = ".focus-tmp"  # suffix of our temporary files


@contextmanager
def replace_file(path: Path, within: Path | None = None, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` in one rename, unless an exception is raised.

    Missing folders are created, and temporary files that killed processes left for this file are
    removed. Only a regular file is replaced; for a symbolic link, its target. A device, pipe or
    socket is kept, and the content is written to it.

    Args:
        path: the file to create or replace.
        within: folder of the temporary file, on the same disk, where the caller removes leftovers
            with :func:`clear_temporary`; default: the folder of ``path``.
        sync: wait until the content is on the disk, so that a power cut leaves no empty file.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    try:
        if _is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / (path.name or "content")
                temporary.touch()
                yield temporary
                with temporary.open("rb") as content, path.open("wb") as stream:
                    shutil.copyfileobj(content, stream)
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        if within is None:
            _clear_abandoned(target)
        # A folder, because some libraries create more files next to the requested one.
        place = within if within and target is path else target.parent
        folder = tempfile.mkdtemp(TEMPORARY, f".{os.getpid()}-", place)
        try:
            temporary = Path(folder) / target.name
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # some libraries create files that only the owner can read
            if sync:
                flush(temporary)
            os.replace(temporary, target)
            if sync:
                flush(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise unwritable(path, error) from None


def is_temporary(path: Path) -> bool:
    """Return whether a path is one of our temporary files or folders, by its name."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


def clear_temporary(folder: Path) -> None:
    """Remove our temporary files from a folder that no other process is writing to."""
    for path in filter(is_temporary, list(folder.iterdir())):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def refuse_folder(path: Path) -> None:
    """Refuse an output path that is a folder, before hours of work.

    Raises:
        InputError: ``path`` is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it, such as {path / 'focus.h5'}")


def make_folder(path: Path) -> None:
    """Create a folder and its parents, unless they exist.

    Raises:
        InputError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """Write a CSV of path and reason for each unreadable file; remove it if there are none."""
    rows = list(failures)
    if not rows:
        path.unlink(missing_ok=True)
        return
    with (
        replace_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        write_rows(file, ("path", "reason"), rows)


def unwritable(path: Path, error: OSError) -> InputError:
    """Return the one-line error for a ``path`` that cannot be written."""
    if error.errno in _FULL:
        why = f"no room on the disk ({error.strerror}): free some space"
    else:
        # A file where a folder is needed: "File exists" would mislead.
        reason = os.strerror(errno.ENOTDIR) if error.errno == errno.EEXIST else error.strerror
        why = f"cannot be written ({reason or error}): fix this or choose another path"
    return InputError(f"{path}: {why}, then re-run the same command; finished parts are kept")


def flush(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    if sys.platform == "win32":  # Windows cannot open folders, nor flush read-only handles
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_stream(path: Path) -> bool:
    """Return whether a path is a device, pipe or socket, directly or through links."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _clear_abandoned(path: Path) -> None:
    """Remove the temporary folders of a file whose processes have ended."""
    with os.scandir(path.parent) as entries:
        folders = [Path(each) for each in entries if each.name.endswith(TEMPORARY)]
    for folder in filter(is_temporary, folders):
        process = folder.name[1:].partition("-")[0]
        is_of_file = os.path.lexists(folder / path.name)
        if is_of_file and process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":  # signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def relative_path(path: Path | str, folder: Path | str) -> str:
    """Return a path relative to a folder; absolute if they are on two drives of Windows.

    Links are resolved in both.
    """
    path = os.path.realpath(path)
    try:
        return os.path.relpath(path, os.path.realpath(folder))
    except ValueError:
        return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
