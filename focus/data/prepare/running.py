"""All tasks of a run, in this process or several; what is finished stays finished."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import NamedTuple

import cv2

from focus.data.face_detection import open_face_detector
from focus.data.prepare.crops import CropConfig, Cropper, Outcome
from focus.data.prepare.planning import Task
from focus.errors import InputError
from focus.files import flush, replace_file
from focus.processes.pools import Pool

FILES = ("path", "mask", "original", "region")


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
            InputError: as in :func:`~focus.data.face_detection.open_face_detector`.
        """
        detector = open_face_detector(self.detector, self.weights)
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
        outcome = Outcome(
            [{str(name): value for name, value in row.items()} for row in kept["rows"]],
            [(str(path), str(reason)) for path, reason in kept["failures"]],
            [(str(path), str(reason)) for path, reason in kept["gaps"]],
            Counter({name: int(count) for name, count in kept["counts"].items()}),
        )
        # One look tells whether the crops were moved away; a million would take minutes.
        whole = not outcome.rows or (out / str(outcome.rows[0]["path"])).is_file()
    except (
        OSError,
        RecursionError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
    ):
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
    pool = Pool(workers, _start_worker, job)
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
    outcome = cropper.cut(unit.task.clips)
    # What the record says is there has to be there after a power cut.
    for row in outcome.rows:
        for name in FILES:
            if name in row:
                flush(out / str(row[name]))
    with replace_file(unit.record, within=unit.record.parent) as temporary:
        temporary.write_text(json.dumps(vars(outcome)), encoding="utf-8")
    return Done(len(unit.task.clips), outcome.failures)


_worker: tuple[Path, Cropper] | None = None


def _start_worker(job: Job) -> None:
    """Load the detector, once a process, and keep to one thread."""
    global _worker
    cv2.setNumThreads(1)
    if job.detector != "yunet":
        import torch

        torch.set_num_threads(1)
    _worker = job.out, job.open()


def _work(unit: Unit) -> Done:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    out, cropper = _worker
    return _finish(out, cropper, unit)
