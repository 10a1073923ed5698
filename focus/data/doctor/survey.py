"""Inspect every file of an index, in several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from focus.data.doctor.files import Files
from focus.data.doctor.looking import (
    LOOK,
    UNREADABLE,
    FileEntry,
    LookResults,
    look_at_all,
    start_process,
)
from focus.data.images import VIDEO_SUFFIXES, split_path
from focus.errors import InputError
from focus.processes.pools import Pool
from focus.runtime import Progress

IMAGE_CHUNK, VIDEO_CHUNK = 256, 4
"""Files that a process inspects at a time."""
CRASHED = "the decoder crashed on it, or ran out of memory"


@dataclass(frozen=True)
class Survey:
    """Measurements of all files.

    Attributes:
        files: the files inspected.
        looks: ``LOOK`` records, in the order of ``files.paths``.
        reasons: position in ``files.paths`` -> fault of the file.
    """

    files: Files
    looks: np.ndarray
    reasons: Mapping[int, str]

    @property
    def faces(self) -> np.ndarray:
        """The records of the faces, in the order of the index."""
        return self.looks[: self.files.faces]

    def linked(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (int) that name a file in a column, and the records of those files."""
        rows = np.flatnonzero(self.files.links[column] >= 0)
        return rows, self.looks[self.files.links[column][rows]]


def survey(files: Files, quick: bool, workers: int, quiet: bool = False) -> Survey:
    """Inspect every file.

    Args:
        files: the files.
        quick: read headers only.
        workers: processes; 0: this process.
        quiet: show no progress.
    """
    looks = np.zeros(len(files.paths), LOOK)
    reasons: dict[int, str] = {}
    known: dict[str, str] = {}
    with Progress(len(files.paths), "looking at files", "files", quiet) as progress:
        chunks = _cut(files)
        # Fewer files than this are done before a process has started.
        here = workers < 1 or len(files.paths) < IMAGE_CHUNK // 4
        results = _look_here if here else _look_elsewhere
        for entries, (seen, why) in results(files.root, quick, chunks, workers):
            looks[[entry.place for entry in entries]] = seen
            # A million missing files share one reason: keep one copy of the text.
            reasons.update((place, known.setdefault(text, text)) for place, text in why.items())
            progress.advance(len(entries))
    return Survey(files, looks, reasons)


def _cut(files: Files) -> Iterator[list[FileEntry]]:
    """Yield chunks of files; those in one archive or video stay together and in order."""
    held: dict[str, list[int]] = {}
    chunk: list[FileEntry] = []
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


def _describe(files: Files, place: int) -> FileEntry:
    return FileEntry(place, files.paths[place], files.boxes[place], int(files.roles[place]))


def _look_here(
    root: Path, quick: bool, chunks: Iterator[list[FileEntry]], _: int
) -> Iterator[tuple[list[FileEntry], LookResults]]:
    for entries in chunks:
        yield entries, look_at_all(root, quick, entries)


def _look_elsewhere(
    root: Path, quick: bool, chunks: Iterator[list[FileEntry]], workers: int
) -> Iterator[tuple[list[FileEntry], LookResults]]:
    """Keep the processes busy with few chunks waiting; replace a process that dies."""
    waiting: deque[tuple[list[FileEntry], Future[LookResults]]] = deque()
    pool = Pool(workers, start_process)
    try:
        while True:
            while len(waiting) < 2 * workers and (entries := next(chunks, None)):
                waiting.append((entries, _submit(pool, root, quick, entries)))
            if not waiting:
                return
            entries, future = waiting.popleft()
            try:
                seen = future.result()
            except BrokenProcessPool:
                pool.shutdown()
                seen = _look_one_by_one(root, quick, entries)
                pool = Pool(workers, start_process)
                lost = [entries for entries, _ in waiting]
                waiting = deque((entries, _submit(pool, root, quick, entries)) for entries in lost)
            yield entries, seen
    finally:
        pool.shutdown(cancel_futures=True)


def _look_one_by_one(root: Path, quick: bool, entries: Sequence[FileEntry]) -> LookResults:
    """Inspect files one at a time, since one of them may crash the process.

    Raises:
        InputError: no process can be started.
    """
    looks, reasons = np.zeros(len(entries), LOOK), dict[int, str]()
    pool = Pool(1, start_process)
    if _submit(pool, root, quick, []).exception():
        raise InputError("worker processes cannot be started: use --workers 0")
    for at, entry in enumerate(entries):
        try:
            seen, why = _submit(pool, root, quick, [entry]).result()
            looks[at] = seen[0]
            reasons.update(why)
        except BrokenProcessPool:  # noqa: PERF203 (a process is started in this loop)
            looks[at]["status"], reasons[entry.place] = UNREADABLE, CRASHED
            pool.shutdown()
            pool = Pool(1, start_process)
    pool.shutdown()
    return looks, reasons


def _submit(
    pool: Pool, root: Path, quick: bool, entries: Sequence[FileEntry]
) -> Future[LookResults]:
    try:
        return pool.submit(look_at_all, root, quick, entries)
    except BrokenProcessPool as error:  # a process died during another chunk
        future: Future[LookResults] = Future()
        future.set_exception(error)
        return future
