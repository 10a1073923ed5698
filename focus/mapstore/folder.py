"""The folder beside a file in which its parts gather: who may write there, and of which run."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from focus.errors import InputError
from focus.files import replace_file, unwritable

_OWN_FILES = ("part-*.h5", ".*.tmp", "run.json", "lock")


class PartsFolder:
    """``<out>.parts``: numbered parts, a record of the run they belong to, and a lock.

    Args:
        out: the file that the parts will become.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.with_name(f"{out.name}.parts")
        self._lock: TextIO | None = None

    def part(self, block: int) -> Path:
        """Return where a part stands."""
        return self.path / f"part-{block:06d}.h5"

    def claim(self, run: Mapping[str, Any], overwrite: bool, resumable: bool) -> None:
        """Lock the folder for a run, making it if needed; parts of the same run stay.

        Args:
            run: what the parts are made of, as JSON values.
            overwrite: drop parts that were made of something else.
            resumable: whether equal values of ``run`` mean equal parts; if not, old ones go.

        Raises:
            InputError: another process holds the folder, its parts are of another run, or it
                cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.path / "lock", self.out)
            self._settle(dict(run), overwrite, resumable)
        except OSError as error:
            self.release()
            raise unwritable(self.out, error) from None
        except InputError:
            self.release()
            raise

    def remove(self) -> None:
        """Remove the folder; files in it that are not ours stay, and keep it."""
        self._clear(*_OWN_FILES)
        self.release()
        self._clear("lock")
        with suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _settle(self, run: dict[str, Any], overwrite: bool, resumable: bool) -> None:
        self._clear(".*.tmp")
        record = self.path / "run.json"
        if any(self.path.glob("part-*.h5")):
            difference = _difference(record, run)
            if difference and resumable and not overwrite:
                raise InputError(
                    f"{self.path} holds parts of another run ({difference}); "
                    "--overwrite drops them, another --out keeps them"
                )
            if difference or not resumable:
                self._clear("part-*.h5")
        with replace_file(record) as temporary:
            temporary.write_text(json.dumps(run, indent=1), encoding="utf-8")

    def _clear(self, *patterns: str) -> None:
        for path in [path for pattern in patterns for path in self.path.glob(pattern)]:
            # Windows removes no file that is open, as the lock is.
            with suppress(PermissionError) if sys.platform == "win32" else nullcontext():
                path.unlink()


def _difference(record: Path, run: Mapping[str, Any]) -> str:
    """Say in a few words what distinguishes the recorded run from this one; empty if nothing."""
    try:
        old = json.loads(record.read_text(encoding="utf-8"))
        names = [name for name in run if old.get(name) != run[name]]
    except (OSError, ValueError, AttributeError):
        return "its run.json cannot be read"
    return ", ".join(
        f"{name}: {_shorten(old.get(name))} there, {_shorten(run[name])} here" for name in names
    )


def _shorten(value: Any) -> str:
    text = str(value) or "none"
    return text if len(text) <= 40 else f"{text[:37]}..."


def _lock(path: Path, out: Path) -> TextIO:
    """Take a lock that ends with the process, however it ends."""
    file = path.open("a", encoding="utf-8")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error means a file system without locks, where a run goes unguarded.
        if error.errno in (errno.EAGAIN, errno.EACCES):
            file.close()
            raise InputError(
                f"{out}: another run is writing it (it holds {path}); "
                "wait for it, or give another --out"
            ) from None
    if hasattr(os, "register_at_fork"):
        # A loader worker that outlives a killed run must not hold its lock.
        os.register_at_fork(after_in_child=file.close)
    return file
