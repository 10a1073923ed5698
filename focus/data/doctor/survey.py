"""A look at every file of an index, in several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from focus.data.doctor.files import Files
from focus.data.doctor.looking import LOOK, UNREADABLE, Seen, Task, look_at_all, start_process
from focus.data.images import VIDEO_SUFFIXES, split_path
from focus.errors import InputError
from focus.processes.pools import Pool
from focus.runtime import Progress

IMAGE_CHUNK, VIDEO_CHUNK = 256, 4
"""Files that a process takes at a time."""
CRASHED = "the decoder crashed on it, or ran out of memory"


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        files: what was to be looked at.
        looks: ``LOOK`` records, one a place of ``files``.
        reasons: place -> why the file is not fine.
    """

    files: Files
    looks: np.ndarray
    reasons: Mapping[int, str]

    @property
    def faces(self) -> np.ndarray:
        """The records of the rows of the index."""
        return self.looks[: self.files.faces]

    def linked(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that name a file in a column (int), and that file's records."""
        rows = np.flatnonzero(self.files.links[column] >= 0)
        return rows, self.looks[self.files.links[column][rows]]


def survey(files: Files, quick: bool, workers: int, quiet: bool = False) -> Survey:
    """Look at every file.

    Args:
        files: what there is.
        quick: read headers only.
        workers: processes; 0: in this one.
        quiet: no progress.
    """
    looks = np.zeros(len(files.paths), LOOK)
    reasons: dict[int, str] = {}
    known: dict[str, str] = {}
    with Progress(len(files.paths), "looking at files", "files", quiet) as progress:
        chunks = _cut(files)
        # Fewer files than this are seen to before a process has started.
        here = workers < 1 or len(files.paths) < IMAGE_CHUNK // 4
        results = _look_here if here else _look_elsewhere
        for tasks, (seen, why) in results(files.root, quick, chunks, workers):
            looks[[task.place for task in tasks]] = seen
            # A million missing files have one reason: one copy of it serves them all.
            reasons.update((place, known.setdefault(text, text)) for place, text in why.items())
            progress.advance(len(tasks))
    return Survey(files, looks, reasons)


def _cut(files: Files) -> Iterator[list[Task]]:
    """Yield chunks of files; what lies in one archive or video stays together and in order."""
    held: dict[str, list[int]] = {}
    chunk: list[Task] = []
    for place, path in enumerate(files.paths):
        if "#" in path or "!/" in path:
            held.setdefault(split_path(path).file, []).append(place)
            continue
        chunk.append(_describe(files, place))
        is_video = path.lower().endswith(VIDEO_SUFFIXES)
        if len(chunk) >= (VIDEO_CHUNK if is_video else IMAGE_CHUNK):
            yield chunk
            chunk = []
    for places in held.values():
        chunk += [_describe(files, place) for place in places]
        while len(chunk) >= IMAGE_CHUNK:
            yield chunk[: 8 * IMAGE_CHUNK]
            chunk = chunk[8 * IMAGE_CHUNK :]
    if chunk:
        yield chunk


def _describe(files: Files, place: int) -> Task:
    return Task(place, files.paths[place], files.boxes[place], int(files.roles[place]))


def _look_here(
    root: Path, quick: bool, chunks: Iterator[list[Task]], _: int
) -> Iterator[tuple[list[Task], Seen]]:
    for tasks in chunks:
        yield tasks, look_at_all(root, quick, tasks)


def _look_elsewhere(
    root: Path, quick: bool, chunks: Iterator[list[Task]], workers: int
) -> Iterator[tuple[list[Task], Seen]]:
    """Keep the processes busy, with few chunks waiting; outlive a process that dies."""
    waiting: deque[tuple[list[Task], Future[Seen]]] = deque()
    pool = Pool(workers, start_process)
    try:
        while True:
            while len(waiting) < 2 * workers and (tasks := next(chunks, None)):
                waiting.append((tasks, _submit(pool, root, quick, tasks)))
            if not waiting:
                return
            tasks, future = waiting.popleft()
            try:
                seen = future.result()
            except BrokenProcessPool:
                pool.shutdown()
                seen = _look_one_by_one(root, quick, tasks)
                pool = Pool(workers, start_process)
                lost = [tasks for tasks, _ in waiting]
                waiting = deque((tasks, _submit(pool, root, quick, tasks)) for tasks in lost)
            yield tasks, seen
    finally:
        pool.shutdown(cancel_futures=True)


def _look_one_by_one(root: Path, quick: bool, tasks: Sequence[Task]) -> Seen:
    """Look at files of which one may kill the process that looks.

    Raises:
        InputError: no process can be started at all.
    """
    looks, reasons = np.zeros(len(tasks), LOOK), dict[int, str]()
    pool = Pool(1, start_process)
    if _submit(pool, root, quick, []).exception():
        raise InputError("processes cannot be started here: use --workers 0")
    for at, task in enumerate(tasks):
        try:
            seen, why = _submit(pool, root, quick, [task]).result()
            looks[at] = seen[0]
            reasons.update(why)
        except BrokenProcessPool:  # noqa: PERF203 (a process is started in this loop)
            looks[at]["status"], reasons[task.place] = UNREADABLE, CRASHED
            pool.shutdown()
            pool = Pool(1, start_process)
    pool.shutdown()
    return looks, reasons


def _submit(pool: Pool, root: Path, quick: bool, tasks: Sequence[Task]) -> Future[Seen]:
    try:
        return pool.submit(look_at_all, root, quick, tasks)
    except BrokenProcessPool as error:  # a process died while another chunk was waited for
        future: Future[Seen] = Future()
        future.set_exception(error)
        return future
