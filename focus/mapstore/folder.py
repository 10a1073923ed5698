"""The folder beside a file in which its parts gather: who may write there, and of which run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from focus.errors import InputError, shorten
from focus.files import replace_file, unwritable
from focus.locks import drop_lock, take_lock

_OWN_FILES = ("part-*.h5", ".*.tmp", "run.json")


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
            self._take_lock()
            self._settle(dict(run), overwrite, resumable)
        except OSError as error:
            self.release()
            raise unwritable(self.out, error) from None
        except InputError:
            self.release()
            raise

    def sweep(self, run: Mapping[str, Any]) -> None:
        """Remove what a run leaves that was killed when its file was already complete."""
        with suppress(InputError, OSError):  # another run is at work, or nothing can be written
            if not self.path.is_dir():
                return
            self._take_lock()
            if any(self.path.glob("part-*.h5")) and _difference(self.path / "run.json", run):
                self.release()
            else:
                self.remove()

    def remove(self) -> None:
        """Remove the folder; files in it that are not ours stay, and keep it."""
        self._clear(*_OWN_FILES)
        self.release()
        with suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            drop_lock(self.path / "lock", self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        self._lock = take_lock(self.path / "lock", self.out)

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
            path.unlink()


def _difference(record: Path, run: Mapping[str, Any]) -> str:
    """Say in a few words what distinguishes the recorded run from this one; empty if nothing."""
    try:
        old = json.loads(record.read_text(encoding="utf-8"))
        names = [name for name in run if old.get(name) != run[name]]
    except (OSError, ValueError, AttributeError, RecursionError):
        return "its run.json cannot be read"
    told = [
        f"{name}: {_shorten(old.get(name))} there, {_shorten(run[name])} here" for name in names[:3]
    ]
    return ", ".join([*told, *(["and more"] if names[3:] else [])])


def _shorten(value: Any) -> str:
    return shorten(value, 40) or "none"
