"""The folder next to a map file with its parts until they are joined."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from focus.errors import InputError
from focus.files import clear_temporary, unwritable
from focus.folders import LOCK, claim, drop_lock, read_record, take_lock, tell_difference

_PARTS = "part-*.h5"


class PartsFolder:
    """``<out>.parts``: numbered parts, a record of their run, and a lock.

    Args:
        out: the map file.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        real = Path(os.path.realpath(out)) if out.is_symlink() else out
        self.path = real.with_name(f"{real.name}.parts")
        self._record = self.path / "run.json"
        self._lock: FileLock | None = None

    def part(self, block: int) -> Path:
        """Return the path of a part."""
        return self.path / f"part-{block:06d}.h5"

    def claim(self, run: Mapping[str, Any], overwrite: bool, resumable: bool) -> None:
        """Lock the folder for a run, creating it if needed; keep parts of the same run.

        Args:
            run: the settings that determine the parts, as JSON values.
            overwrite: drop parts of another run.
            resumable: whether equal values of ``run`` mean equal parts; if not, old parts are
                dropped.

        Raises:
            InputError: another process has locked the folder, its parts belong to another run, or
                it cannot be written.
        """
        advice = "--overwrite drops its parts, another --out keeps them"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(self.path / LOCK, self.out)
            clear_temporary(self.path)
            replace = overwrite or not resumable
            same = claim(self.path, self._record, run, replace=replace, advice=advice)
            if not (same and resumable):
                self._clear(_PARTS)
        except OSError as error:
            self.release()
            raise unwritable(self.out, error) from None
        except InputError:
            self.release()
            raise

    def sweep(self, run: Mapping[str, Any]) -> None:
        """Remove the parts of a run that was killed after its file was complete."""
        with suppress(InputError, OSError):  # another run is active, or nothing can be written
            if not self.path.is_dir():
                return
            self._lock = take_lock(self.path / LOCK, self.out)
            is_other = tell_difference(read_record(self._record), run, list(run))
            if any(self.path.glob(_PARTS)) and is_other:
                self.release()
            else:
                self.remove()

    def remove(self) -> None:
        """Remove the folder, or only our files if it contains others."""
        clear_temporary(self.path)
        self._clear(_PARTS, self._record.name)
        self.release()
        with suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            drop_lock(self._lock)
            self._lock = None

    def _clear(self, *patterns: str) -> None:
        for path in [path for pattern in patterns for path in self.path.glob(pattern)]:
            path.unlink()
