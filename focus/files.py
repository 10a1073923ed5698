"""Files that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from focus.errors import InputError


@contextmanager
def replace_file(path: Path, within: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` in one rename, if all goes well.

    Args:
        path: the file to make or replace.
        within: folder of the temporary file; that of ``path`` unless given.

    Raises:
        InputError: the disk is full, or the folder cannot be written.
    """
    temporary = (within or path.parent) / f".{path.name}.{os.getpid()}.tmp"
    try:
        try:
            yield temporary
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
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
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        why = f"no room on the disk ({error.strerror}); make room"
    else:
        why = f"cannot be written ({error.strerror or error}); give another --out, or mend that"
    return InputError(f"{path}: {why} and give the same command again: finished parts are kept")


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where a folder can be synchronised at all."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
