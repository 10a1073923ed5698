"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from focus.errors import InputError
from focus.files import make_folder, unwritable

LOCK = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, made if needed; what a killed one left half-written goes.

    Raises:
        InputError: another run holds it, or nothing can be written there.
    """
    path = folder / LOCK
    make_folder(folder)
    try:
        lock = take_lock(path, folder)
        # Besides our own: safetensors writes beside the file that it was told to write.
        for abandoned in (*folder.glob(".*.tmp"), *folder.glob(".tmp??????")):
            abandoned.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        yield
    finally:
        drop_lock(path, lock)


def is_ours(path: Path) -> bool:
    """Tell whether a file is a lock or half-written, so that a folder without others is empty."""
    return path.name == LOCK or (path.name.startswith(".") and path.name.endswith(".tmp"))


def take_lock(path: Path, out: Path) -> TextIO:
    """Take a lock that ends with the process, however it ends.

    Args:
        path: the file that is locked.
        out: what is being written, for the message.

    Raises:
        InputError: another run holds it.
        OSError: the file cannot be made.
    """
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            _lock(file)
        except OSError as error:
            # Any other error means a file system without locks, where a run goes unguarded.
            if error.errno in (errno.EAGAIN, errno.EACCES):
                file.close()
                raise InputError(
                    f"{out}: another run is writing it (it holds {path}); "
                    "wait for it, or give another --out"
                ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()  # its holder has just removed it, and the next run may hold another
    if hasattr(os, "register_at_fork"):
        # A loader worker that outlives a killed run must not hold its lock.
        os.register_at_fork(after_in_child=file.close)
    return file


def drop_lock(path: Path, lock: TextIO) -> None:
    """Let go of a lock; its file goes first, while nobody else can hold it."""
    # Windows removes no file that is open.
    with suppress(PermissionError) if sys.platform == "win32" else nullcontext():
        path.unlink(missing_ok=True)
    lock.close()


def _lock(file: TextIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
