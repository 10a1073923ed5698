"""What the processes of one run tell each other: who makes which parts, and when all are there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from focus.errors import InputError
from focus.mapstore.writer import MapWriter

PATIENCE = 600.0  # seconds without a part from the other processes, at least


def claim(accelerator: Accelerator, make: Callable[[], MapWriter]) -> tuple[MapWriter, list[int]]:
    """Open the map file in every process, the main one first, and agree on the missing parts.

    Raises:
        InputError: in all processes, what the main one found wrong.
    """
    if accelerator.num_processes == 1:
        writer = make()
        return writer, writer.missing
    if not accelerator.is_main_process:
        return make(), _agree(None)
    try:
        writer = make()
    except InputError as error:
        _agree(str(error))
        raise
    return writer, _agree(writer.missing)


def _agree(found: list[int] | str | None) -> list[int]:
    """Tell all processes what the main one found."""
    answer = [found]
    broadcast_object_list(answer)
    if not isinstance(answer[0], list):
        raise InputError(str(answer[0]))
    return answer[0]


def await_parts(writer: MapWriter, blocks: Sequence[int], patience: float) -> None:
    """Wait for the parts of other processes.

    No barrier: a process that died would hold the others at one for ever.

    Raises:
        InputError: none came for ``patience`` seconds.
    """
    waiting, last = set(blocks), time.monotonic()
    while waiting:
        arrived = {block for block in waiting if writer.has(block)}
        waiting -= arrived
        if arrived:
            last = time.monotonic()
        elif time.monotonic() - last > patience:
            raise InputError(
                f"{writer.out}: no part came from the other processes for {patience:.0f} s, and "
                f"{len(waiting)} are missing; the same command goes on from what is there"
            )
        else:
            time.sleep(0.2)
