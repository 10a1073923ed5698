"""Ctrl-C and SIGTERM: the main process handles them; its workers ignore them."""

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
    """Handle Ctrl-C and SIGTERM within a ``with`` block, unless other handlers are installed."""
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
    """Raise KeyboardInterrupt, also for SIGTERM, which batch queues send."""
    raise KeyboardInterrupt


@contextmanager
def held_back(*numbers: int) -> Iterator[None]:
    """Block signals; processes started in the ``with`` block inherit this."""
    if sys.platform == "win32":
        yield
        return
    kept = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


def end_with_parent() -> None:
    """End when the parent ends, even if it is killed, before it is started again.

    Linux only; elsewhere the libraries notice within seconds.
    """
    parent = multiprocessing.parent_process()
    if sys.platform != "linux" or parent is None:
        return
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # the parent had already ended
        os._exit(1)


def obey_parent() -> None:
    """End this process on a SIGTERM from its parent, although SIGTERM is blocked here."""
    receive = getattr(signal, "sigwaitinfo", None)  # not on macOS and Windows
    if receive is None:
        return
    parent = os.getppid()

    def wait() -> None:
        while receive((signal.SIGTERM,)).si_pid != parent:
            pass
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


FOR_PARENT = (signal.SIGINT, signal.SIGTERM) if hasattr(signal, "sigwaitinfo") else (signal.SIGINT,)
"""Signals that a terminal or batch queue sends to all processes; only one should handle them."""
