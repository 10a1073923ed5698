"""Processes that work for this one: they leave Ctrl-C to it, and end when it ends."""

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
    """Processes started fresh: a fork of one with torch's or OpenCV's threads in it may hang.

    Args:
        workers: how many.
        start: what each does first, with ``given``; a function of a module.
    """

    def __init__(self, workers: int, start: Callable[..., None] | None = None, *given: Any) -> None:
        super().__init__(workers, get_context("spawn"), _start, (start, *given))

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Give work to a process; the first call starts them."""
        with held_back(signal.SIGINT):
            return super().submit(call, *given, **named)


def _start(start: Callable[..., None] | None, *given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows none is held back
    end_with_parent()
    threading.Thread(target=_follow_parent, daemon=True).start()
    if start is not None:
        start(*given)


def _follow_parent() -> None:
    """Leave when the main process is gone, where the system does not see to it."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
