"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from focus.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replace_file(path: Path, within: Path | None = None, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` in one rename, if all goes well.

    The folder is made if it is not there, and what killed processes left of this file goes.

    Args:
        path: the file to make or replace.
        within: folder of the temporary file, on the same disk, where others clear what is left;
            that of ``path`` unless given.
        sync: wait until the content is on the disk, so that a power cut leaves no empty file.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    folder = within or path.parent
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if within is None:
            _clear_abandoned(path)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # some libraries make files that nobody else may read
            if sync:
                flush(temporary)
            os.replace(temporary, path)
            if sync:
                flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def refuse_folder(path: Path) -> None:
    """Say before hours of work that no file can take the name of a folder.

    Raises:
        InputError: a folder stands there.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it, such as {path / 'focus.h5'}")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def write_failures(path: Path, failures: Iterable[tuple[str, str]]) -> None:
    """List what could not be read, path and reason; nothing to list: no file."""
    rows = list(failures)
    if not rows:
        path.unlink(missing_ok=True)
        return
    with (
        replace_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "reason"))
        table.writerows(rows)


def unwritable(path: Path, error: OSError) -> InputError:
    """Return the line that says why ``path`` cannot be written."""
    if error.errno in _FULL:
        why = f"no room on the disk ({error.strerror}); make room"
    else:
        # Where a folder should be, "File exists" would mislead.
        reason = os.strerror(errno.ENOTDIR) if error.errno == errno.EEXIST else error.strerror
        why = f"cannot be written ({reason or error}); mend that, or write elsewhere,"
    return InputError(f"{path}: {why} and give the same command again: finished parts are kept")


def flush(path: Path) -> None:
    """Make a file's content, or the names in a folder, last through a power cut."""
    if sys.platform == "win32":  # no folder can be opened there, nor a file be flushed unwritten
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_abandoned(path: Path) -> None:
    """Remove the temporary files of a file whose processes are gone."""
    start, end = f".{path.name}.", ".tmp"
    with os.scandir(path.parent) as entries:
        names = [each.name for each in entries if each.name.startswith(start)]
    for name in names:
        process = name.removeprefix(start).removesuffix(end)
        if name.endswith(end) and process.isdecimal() and not _is_alive(int(process)):
            with suppress(FileNotFoundError):
                (path.parent / name).unlink()


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()
