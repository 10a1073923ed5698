"""Worker processes: they ignore Ctrl-C and end with their parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any

from focus.processes.signals import end_with_parent, held_back


class Pool(ProcessPoolExecutor):
    """Spawned worker processes: a fork with torch's or OpenCV's threads may hang.

    Args:
        workers: number of processes.
        start: function of a module that each process calls first, with ``given``.
    """

    def __init__(self, workers: int, start: Callable[..., None] | None = None, *given: Any) -> None:
        super().__init__(workers, get_context("spawn"), _start, (start, *given))

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Submit a call; the first one starts the processes."""
        with held_back(signal.SIGINT):
            return super().submit(call, *given, **named)


def _start(start: Callable[..., None] | None, *given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Windows cannot block signals
    end_with_parent()
    threading.Thread(target=_follow_parent, daemon=True).start()
    if start is not None:
        start(*given)


def _follow_parent() -> None:
    """Exit when the main process has ended, on systems without a parent-death signal."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
