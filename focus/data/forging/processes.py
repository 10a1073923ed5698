"""The faces of one job in several processes.

Nothing here imports torch: every process of the work starts with this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import cv2

from focus.data.forging.making import Forger, Job, Made
from focus.errors import InputError
from focus.processes.pools import Pool
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
    pool = Pool(workers, _start_process, job)
    try:
        yield from pool.map(_make, rows, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise InputError(
            "a process died, perhaps out of memory; re-run the same command to resume "
            "(--workers 1: in one process)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_forger: list[Forger] = []
"""Of this process, if it was started for the work."""


def _start_process(job: Job) -> None:
    cv2.setNumThreads(1)
    _forger.append(Forger(job))


def _make(row: int) -> Made:
    return _forger[0].make(row)
