"""Forge the faces of a plan in several processes.

Do not import torch here: every worker process imports this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import cv2

from focus.data.forging.making import FaceResult, ForgePlan, Forger
from focus.errors import InputError
from focus.processes.pools import Pool
from focus.runtime import available_cores

_CHUNK = 64  # neighbours in the index share donor candidates


def make_all(plan: ForgePlan, workers: int) -> Iterator[FaceResult]:
    """Yield the result of each face, in order.

    Args:
        plan: the faces and settings.
        workers: processes; -1: one per core; 0 or 1: this process only.

    Raises:
        InputError: a worker process died, or the landmark model cannot be used.
    """
    if workers < 0:
        workers = available_cores()
    rows = range(len(plan.keys))
    workers = min(workers, -(-len(rows) // _CHUNK))
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from map(Forger(plan).make, rows)
        finally:
            cv2.setNumThreads(threads)
        return
    pool = Pool(workers, _start_process, plan)
    try:
        yield from pool.map(_make, rows, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise InputError(
            "a worker process died, probably out of memory; re-run the same command to resume, "
            "with fewer --workers (1: a single process)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_forger: list[Forger] = []
"""The forger of this worker process."""


def _start_process(plan: ForgePlan) -> None:
    cv2.setNumThreads(1)
    _forger.append(Forger(plan))


def _make(row: int) -> FaceResult:
    return _forger[0].make(row)
