"""Run all tasks, in this process or several, and record finished ones."""

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
class CropperSettings:
    """Settings from which each process of a run builds its :class:`Cropper`."""

    root: Path
    out: Path
    config: CropConfig
    detector: str
    weights: Path | None

    def open(self) -> Cropper:
        """Load the detector and return the cropper.

        Raises:
            InputError: as in :func:`~focus.data.face_detection.open_face_detector`.
        """
        detector = open_face_detector(self.detector, self.weights)
        return Cropper(self.root, self.out, self.config, detector, self.detector)


class Unit(NamedTuple):
    """A task and the record file of its outcome, written when it is finished."""

    task: Task
    record: Path


class Done(NamedTuple):
    """A finished task: its number of clips, and (path, reason) of unreadable ones."""

    clips: int
    failures: list[tuple[str, str]]


def recall(unit: Unit, out: Path) -> Outcome | None:
    """Return the recorded outcome of a task, None if it is not finished."""
    try:
        kept = json.loads(unit.record.read_text(encoding="utf-8"))
        outcome = Outcome(
            [{str(name): value for name, value in row.items()} for row in kept["rows"]],
            [(str(path), str(reason)) for path, reason in kept["failures"]],
            [(str(path), str(reason)) for path, reason in kept["gaps"]],
            Counter({name: int(count) for name, count in kept["counts"].items()}),
        )
        # Check one crop only, to notice moved crops: a million checks would take minutes.
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
    settings: CropperSettings, cropper: Cropper, units: Sequence[Unit], workers: int
) -> Generator[Done, None, None]:
    """Run tasks and record their outcomes; yield each as it is finished.

    Args:
        settings: settings of worker processes.
        cropper: used if the work is done in this process.
        units: the unfinished ones.
        workers: processes; fewer than two, or a single task: this process.

    Raises:
        InputError: a crop cannot be written, or a worker was killed.
    """
    workers = min(workers, len(units))
    if workers < 2:
        for unit in units:
            yield _finish(settings.out, cropper, unit)
        return
    others = set(active_children())
    pool = Pool(workers, _start_worker, settings)
    try:
        for done in as_completed([pool.submit(_work, unit) for unit in units]):
            yield done.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, probably out of memory; re-run with fewer --workers than "
            f"{workers}; finished videos are kept"
        ) from None
    finally:
        # Do not wait for unfinished videos when the run is stopped.
        for process in set(active_children()) - others:
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _finish(out: Path, cropper: Cropper, unit: Unit) -> Done:
    outcome = cropper.cut(unit.task.clips)
    # Recorded files must exist after a power failure.
    for row in outcome.rows:
        for name in FILES:
            if name in row:
                flush(out / str(row[name]))
    with replace_file(unit.record, within=unit.record.parent) as temporary:
        temporary.write_text(json.dumps(vars(outcome)), encoding="utf-8")
    return Done(len(unit.task.clips), outcome.failures)


_worker: tuple[Path, Cropper] | None = None


def _start_worker(settings: CropperSettings) -> None:
    """Load the detector once per process, and use one thread."""
    global _worker
    cv2.setNumThreads(1)
    if settings.detector.startswith("retinaface"):
        import torch

        torch.set_num_threads(1)
    _worker = settings.out, settings.open()


def _work(unit: Unit) -> Done:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    out, cropper = _worker
    return _finish(out, cropper, unit)
