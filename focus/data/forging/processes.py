"""The faces of one job in several processes.

Nothing here imports torch: every process of the work starts with this file.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

import cv2

from focus.data.forging.making import Forger, Job, Made
from focus.errors import InputError
from focus.runtime import available_cores

_CHUNK = 64  # neighbours that share the candidates of their swaps


def make_all(job: Job, workers: int) -> Iterator[Made]:
    """Yield what becomes of each face, in order.

    Args:
        job: the work.
        workers: processes; -1: one a core; 0 and 1: this one.

    Raises:
        InputError: a process died, or the landmark model cannot be used.
    """
    if workers < 0:
        workers = available_cores()
    rows = range(len(job.keys))
    workers = min(workers, -(-len(rows) // _CHUNK))
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from map(Forger(job).make, rows)
        finally:
            cv2.setNumThreads(threads)
        return
    # Started fresh: a fork of a process with torch's or OpenCV's threads in it may hang.
    context = get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_process, initargs=(job,))
    try:
        yield from pool.map(_make, rows, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise InputError(
            "a process died, for want of memory perhaps; the same command goes on (--workers 1: "
            "in one process)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_forger: list[Forger] = []
"""Of this process, if it was started for the work."""


def _start_process(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers to Ctrl-C
    cv2.setNumThreads(1)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _forger.append(Forger(job))


def _follow_parent() -> None:
    """End with a parent that was killed; else the process would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(row: int) -> Made:
    return _forger[0].make(row)
