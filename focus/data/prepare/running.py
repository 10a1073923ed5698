"""All tasks of a run, in this process or several; what is finished stays finished."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import cv2

from focus.data.detection import open_detector
from focus.data.prepare.crops import CropConfig, Cropper, Outcome
from focus.data.prepare.planning import Task
from focus.errors import InputError
from focus.files import replace_file, unwritable


@dataclass(frozen=True)
class Job:
    """What every process of a run needs to know."""

    root: Path
    out: Path
    config: CropConfig
    detector: str
    weights: str

    def open(self) -> Cropper:
        """Load the detector.

        Raises:
            InputError: as in :func:`~focus.data.detection.open_detector`.
        """
        detector = open_detector(self.detector, self.weights)
        return Cropper(self.root, self.out, self.config, detector, self.detector)


class Unit(NamedTuple):
    """A task and the file that keeps its outcome once it is finished."""

    task: Task
    record: Path


class Done(NamedTuple):
    """A finished task: how many clips, and (path, reason) of those that cannot be read."""

    clips: int
    failures: list[tuple[str, str]]


def recall(unit: Unit, out: Path) -> Outcome | None:
    """Return the outcome of a task, None if it is not finished."""
    try:
        kept = json.loads(unit.record.read_text(encoding="utf-8"))
        outcome = Outcome(**{**kept, "counts": Counter(kept["counts"])})
        # One look tells whether the crops were moved away; a million would take minutes.
        whole = not outcome.rows or (out / str(outcome.rows[0]["path"])).is_file()
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return outcome if whole else None


def run(
    job: Job, cropper: Cropper, units: Sequence[Unit], workers: int
) -> Generator[Done, None, None]:
    """Do tasks and keep their outcomes; yield what each came to as it is finished.

    Args:
        job: the run.
        cropper: used when the work is done in this process.
        units: those that are not finished.
        workers: processes; fewer than two, or a single task: this one.

    Raises:
        InputError: a crop cannot be written, or a process was killed.
    """
    workers = min(workers, len(units))
    if workers < 2:
        for unit in units:
            yield _finish(job.out, cropper, unit)
        return
    others = set(active_children())
    # Started fresh: a fork of a process with torch's or OpenCV's threads in it may hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (job,))
    try:
        for done in as_completed([pool.submit(_work, unit) for unit in units]):
            yield done.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, as happens when memory is short: give the same command "
            f"with fewer --workers than {workers}; finished videos are kept"
        ) from None
    finally:
        # Nothing waits for a video under way when the run is stopped.
        for process in set(active_children()) - others:
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _finish(out: Path, cropper: Cropper, unit: Unit) -> Done:
    try:
        outcome = cropper.cut(unit.task.clips)
    except OSError as error:
        raise unwritable(Path(error.filename or out), error) from None
    with replace_file(unit.record) as temporary:
        temporary.write_text(json.dumps(vars(outcome)), encoding="utf-8")
    return Done(len(unit.task.clips), outcome.failures)


_worker: tuple[Path, Cropper] | None = None


def _start_worker(job: Job) -> None:
    """Load the detector, once a process; keep to one thread, and end with the main process."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    if job.detector != "yunet":
        import torch

        torch.set_num_threads(1)
    _worker = job.out, job.open()


def _end_with_parent() -> None:
    """Leave when the main process is gone: one that was killed cannot say so."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _work(unit: Unit) -> Done:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    out, cropper = _worker
    return _finish(out, cropper, unit)
