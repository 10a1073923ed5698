"""Ctrl-C and SIGTERM: one process answers, in one line, and those that work for it do not."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
_PR_SET_PDEATHSIG = 1  # of sys/prctl.h


@contextmanager
def handle(handler: Handler) -> Iterator[None]:
    """Answer to Ctrl-C and SIGTERM, where nobody else has taken over, and only here."""
    kept = {}
    if threading.current_thread() is threading.main_thread():
        usual = (signal.SIG_DFL, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in usual:
                kept[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)


def interrupt(number: int, _: FrameType | None) -> None:
    """Take SIGTERM, which batch queues send, for Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def held_back(*numbers: int) -> Iterator[None]:
    """Hold signals back; processes that are started here never get them."""
    if sys.platform == "win32":
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


def end_with_parent() -> None:
    """End at once when the parent does: a killed one cannot say so, and its successor may come.

    Linux alone can do that; elsewhere the libraries notice within seconds.
    """
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it was too late for that
        os._exit(1)


def obey_parent() -> None:
    """Let SIGTERM, which is held back here, end this process when its parent sends it."""
    if not hasattr(signal, "sigwaitinfo"):
        return
    parent = os.getppid()

    def wait() -> None:
        while signal.sigwaitinfo((signal.SIGTERM,)).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


FOR_PARENT = (signal.SIGINT, signal.SIGTERM) if hasattr(signal, "sigwaitinfo") else (signal.SIGINT,)
"""What a terminal or a batch queue sends to all processes, and only one should answer."""
