"""Output folders: one run at a time, and only files of that run."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from focus.errors import InputError, shorten
from focus.files import clear_temporary, is_temporary, make_folder, replace_file, unwritable

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# Settings whose values are hashes, and the text shown in place of them.
_HASHES = {
    "fingerprint": "other settings or data",
    "index_fingerprint": "other faces",
    "weights_sha256": "other weights",
}


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a folder, created if missing, against other runs; remove temporary files in it.

    Raises:
        InputError: another run has locked it, or it cannot be written.
    """
    make_folder(folder)
    try:
        lock = take_lock(folder / LOCK, folder)
        clear_temporary(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        yield
    finally:
        drop_lock(lock)


def claim(
    folder: Path,
    record: Path,
    run: Mapping[str, Any],
    *,
    compare: Sequence[str] | None = None,
    replace: bool = False,
    advice: str = "choose another --out",
) -> bool:
    """Record the run of a folder; refuse a folder with other content.

    Call it while the folder is locked (:func:`hold`).

    Args:
        folder: the folder.
        record: JSON file in the folder, or below it, that describes its run.
        run: the values of this run, as JSON values.
        compare: names of ``run`` that must be equal for the run to continue; default: all.
        replace: accept a folder of another run, or without a record; the caller clears it.
        advice: how to fix it, for messages.

    Returns:
        Whether the folder already belongs to this run, so that its finished work can be kept.

    Raises:
        InputError: the folder belongs to another run, has files but no record, or cannot be
            written.
    """
    held = record.exists()
    difference = tell_difference(read_record(record), run, compare or list(run)) if held else ""
    if difference and not replace:
        raise InputError(f"{folder}: holds another run ({difference}; see {record}); {advice}")
    if not held and not replace and not all(map(is_ours, folder.iterdir())):
        raise InputError(f"{folder}: is not empty and holds no {record.name}; {advice}")
    if not held or difference:
        with replace_file(record) as temporary:
            temporary.write_text(json.dumps(dict(run), indent=1) + "\n", encoding="utf-8")
    return held and not difference


def is_ours(path: Path) -> bool:
    """Return whether a path is our lock or temporary; a folder of only these counts as empty."""
    return path.name == LOCK or is_temporary(path)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record written by :func:`claim`, None if it is missing or not a JSON object."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def tell_difference(
    old: Mapping[str, Any] | None, new: Mapping[str, Any], names: Sequence[str]
) -> str:
    """Describe briefly how a recorded run differs from this one; empty if it does not.

    Args:
        old: the record, None if it cannot be read.
        new: this run.
        names: the values to compare.
    """
    if old is None:
        return "its record cannot be read"
    differences: list[str] = []
    for name in names:
        there, here = old.get(name), new.get(name)
        if name in _HASHES and there != here:
            differences.append(_HASHES[name])
        elif there != here:
            differences += _compare(name, there, here)
    return ", ".join([*differences[:3], *(["and more"] if differences[3:] else [])])


def _compare(name: str, there: Any, here: Any) -> list[str]:
    """Describe how two values differ; for two JSON objects, setting by setting."""
    first, second = _parse(there), _parse(here)
    if first is None or second is None:
        return [f"{name}: {_short(there)} there, {_short(here)} here"]
    settings = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return [
        f"{key}: {_short(first.get(key))} there, {_short(second.get(key))} here" for key in settings
    ]


def _parse(value: Any) -> dict[str, Any] | None:
    try:
        return dict(json.loads(value) if isinstance(value, str) else value)
    except (ValueError, TypeError, RecursionError):
        return None


def take_lock(path: Path, out: Path) -> FileLock:
    """Take a lock that is released when the process ends, even if it is killed.

    Args:
        path: the lock file.
        out: the file or folder being written, for the message.

    Raises:
        InputError: another run holds the lock.
        OSError: the lock file cannot be created.
    """
    while True:
        lock = FileLock(path, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{out}: another run is writing it (it holds {path}); "
                "wait for it, or choose another --out"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return lock  # a file system without locks: runs are not protected
        if path.exists():
            return lock
        lock.release()  # its holder has just removed it, and another run may have created a new one


def drop_lock(lock: FileLock) -> None:
    """Release a lock; its file is removed first, while nobody else can hold it."""
    # Windows cannot remove an open file.
    with suppress(PermissionError) if sys.platform == "win32" else nullcontext():
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _short(value: Any) -> str:
    return shorten(value, 80) or "none"
