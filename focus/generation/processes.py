"""Coordinate the processes of one run: missing parts, and waiting for all of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from focus.errors import InputError
from focus.files import TEMPORARY
from focus.mapstore.folder import PartsFolder
from focus.mapstore.writer import MapWriter

PATIENCE = 600.0  # minimum seconds to wait for a part from other live processes
LATENESS = 90.0  # seconds until a machine sees files that another wrote to a shared disk


def claim(accelerator: Accelerator, make: Callable[[], MapWriter]) -> tuple[MapWriter, list[int]]:
    """Open the map file in every process, the main one first, and agree on the missing parts.

    Raises:
        InputError: in all processes, an error of the main one; in a process that cannot see the
            main one's folder, a message that it cannot.
    """
    if accelerator.num_processes == 1:
        writer = make()
        return writer, writer.missing
    if not accelerator.is_main_process:
        missing, mark, wrong = broadcast_object_list([None] * 3)
        if wrong:
            raise InputError(wrong)
        writer = make()
        _find_mark(writer, mark)
        return writer, missing
    try:
        writer = make()
        missing = writer.missing
        mark = _leave_mark(writer) if missing else ""
    except InputError as error:
        broadcast_object_list([None, None, str(error)])
        raise
    broadcast_object_list([missing, mark, ""])
    return writer, missing


def _leave_mark(writer: MapWriter) -> str:
    """Create a uniquely named file in the parts folder; return its name."""
    mark = f".{secrets.token_hex(8)}{TEMPORARY}"
    (PartsFolder(writer.out).path / mark).touch()
    return mark


def _find_mark(writer: MapWriter, mark: str) -> None:
    """Raise InputError unless this folder is the main process's folder."""
    path: Path = PartsFolder(writer.out).path / mark
    began = time.monotonic()
    while mark and not path.exists():
        if time.monotonic() - began > LATENESS:
            raise InputError(
                f"{path.parent}: not the folder that the main process writes to; all machines must "
                "see the same --out (a shared disk); otherwise use --shard I/N and focus merge"
            )
        time.sleep(0.2)


def await_parts(writer: MapWriter, blocks: Sequence[int], patience: float) -> None:
    """Wait for the parts of other processes.

    Not a barrier: a slow process may take longer than the timeout of one. The launcher ends this
    process when another one fails.

    Raises:
        InputError: no part arrived for ``patience`` seconds.
    """
    waiting, last = set(blocks), time.monotonic()
    while waiting:
        arrived = {block for block in waiting if writer.has(block)}
        waiting -= arrived
        still = time.monotonic() - last
        if arrived:
            last = time.monotonic()
        elif still > patience:
            raise InputError(
                f"{writer.out}: no part came from the other processes for {still:.0f} s, and "
                f"{len(waiting)} are missing; re-run the same command to resume"
            )
        else:
            time.sleep(min(0.2 + 0.001 * len(waiting), 5.0))  # each round checks every file
