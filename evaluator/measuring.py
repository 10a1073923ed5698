"""From files to histograms: reads truth masks, in threads, and compares the maps with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TypeVar

import numpy as np

from evaluator.metrics.localization import FaceHistogram, Histograms, compare
from evaluator.metrics.prior import MaskPrior
from focus.data.images import read_face, read_mask, split_path
from focus.data.index import FaceIndex
from focus.errors import UnreadableError
from focus.mapstore import MapReader
from focus.runtime import Progress
from focus.types import FAKE, REAL, Failure

T = TypeVar("T")
PRIOR_FACES = 2000
_THREADS = min(8, os.cpu_count() or 1)
_BLOCK = 1024


class TruthReader:
    """Truth masks and regions of the faces of an index, for many threads."""

    def __init__(self, index: FaceIndex) -> None:
        self._root, self._labels = index.root, index.labels
        names = ("path", "mask", "region", "box")
        self._paths, self._masks, self._regions, self._boxes = map(index.column, names)
        self._lock = Lock()

    def has(self, row: int) -> bool:
        """Say whether the truth is known: a fake with a mask, or a real face."""
        label = self._labels[row]
        return label == REAL or bool(label == FAKE and self._masks[row])

    def read(self, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return mask and region of a face, bool (H, W); the region is None where there is none.

        The mask of a real face is empty whatever its file holds, and of its picture's size.

        Raises:
            UnreadableError: a file is missing or broken, or mask and region differ in size.
        """
        path, mask_path, region_path = self._paths[row], self._masks[row], self._regions[row]
        if self._labels[row] == REAL:
            if mask_path:
                return np.zeros_like(self._read_mask("mask", mask_path)), None
            read = partial(read_face, self._root, path, self._boxes[row])
            return np.zeros(self._guard("picture", path, read).shape[:2], dtype=bool), None
        mask = self._read_mask("mask", mask_path)
        if not region_path:
            return mask, None
        region = mask if region_path == mask_path else self._read_mask("region", region_path)
        if region.shape != mask.shape:
            sizes = (f"{height} x {width}" for height, width in (region.shape, mask.shape))
            raise UnreadableError("region {} is {}, the mask {}".format(region_path, *sizes))
        return mask, region

    def _read_mask(self, kind: str, path: str) -> np.ndarray:
        return self._guard(kind, path, partial(read_mask, self._root / path))

    def _guard(self, kind: str, path: str, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Read a file; videos and archives, whose open files are shared, one at a time."""
        where = split_path(path)
        shared = where.member or where.frame is not None
        try:
            with self._lock if shared else nullcontext():
                return read()
        except UnreadableError as error:
            raise UnreadableError(f"{kind} {path}: {error}") from None


@dataclass(frozen=True)
class Measured:
    """Faces of an index whose maps were compared with the truth."""

    rows: np.ndarray
    """int64 (M,): their rows in the index, ascending."""
    maps: Histograms
    """Of their maps."""
    priors: Histograms
    """Of the mean mask of the other faces; zero where there is none, and on real faces."""
    has_prior: np.ndarray
    """bool (M,): whether there is such a mask."""
    failures: tuple[Failure, ...]
    """Faces whose truth could not be read; they are not among the M."""


def measure(
    index: FaceIndex,
    rows: np.ndarray,
    reader: MapReader,
    prior: MaskPrior | None = None,
    quiet: bool = False,
) -> Measured:
    """Compare the maps of some faces with their truth.

    Args:
        index: the faces.
        rows: int (N,), ascending: real faces, and fakes with a mask, that all have a map.
        reader: the map file.
        prior: masks to compare with the truth of fakes as well.
        quiet: no progress.
    """
    truths = TruthReader(index)
    videos = video_names(index)

    def work(row: int) -> tuple[FaceHistogram, FaceHistogram | None]:
        mask, region = truths.read(row)
        usual = prior.without(videos[row]) if prior and index.labels[row] == FAKE else None
        face = compare(reader.levels(index.keys[row]), mask, region)
        return face, None if usual is None else compare(usual, mask, region)

    maps, priors = Histograms.empty(len(rows)), Histograms.empty(len(rows))
    has_prior = np.zeros(len(rows), dtype=bool)
    failures: list[Failure] = []
    read = np.zeros(len(rows), dtype=bool)
    for place, (_, found) in enumerate(_each(work, index, rows, "reading masks", quiet)):
        if isinstance(found, Failure):
            failures.append(found)
            continue
        read[place] = True
        maps.put(place, found[0])
        if found[1] is not None:
            priors.put(place, found[1])
            has_prior[place] = True
    return Measured(
        rows[read], maps.take(read), priors.take(read), has_prior[read], tuple(failures)
    )


def mean_mask(
    index: FaceIndex, rows: np.ndarray, quiet: bool = False
) -> tuple[MaskPrior, tuple[Failure, ...]]:
    """Return the mean mask of fakes, at most 2,000 of them spread evenly over ``rows``."""
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), PRIOR_FACES)).round().astype(int)
    truths, videos, prior = TruthReader(index), video_names(index), MaskPrior()
    failures: list[Failure] = []
    for row, found in _each(truths.read, index, rows[chosen], "reading the prior's masks", quiet):
        if isinstance(found, Failure):
            failures.append(found)
        else:
            prior.add(found[0], videos[row])
    return prior, tuple(failures)


def masked_fakes(index: FaceIndex, rows: np.ndarray) -> np.ndarray:
    """Return those of the rows that are fakes with a mask, int64 (K,)."""
    masks = np.array(index.column("mask"), dtype=object)
    return rows[(index.labels[rows] == FAKE) & (masks[rows] != "")]


def video_names(index: FaceIndex) -> list[str]:
    """Return the video of every face; one without has its own, which no other can have."""
    return [video or f"\0{row}" for row, video in enumerate(index.column("video"))]


def _each(
    function: Callable[[int], T], index: FaceIndex, rows: np.ndarray, label: str, quiet: bool
) -> Iterator[tuple[int, T | Failure]]:
    """Yield every row with what ``function`` says of it, computed in threads, in order."""

    def guarded(row: int) -> T | Failure:
        try:
            return function(row)
        except UnreadableError as error:
            return Failure(row, index.keys[row], str(error))

    with (
        ThreadPoolExecutor(_THREADS) as pool,
        Progress(len(rows), label, "faces", quiet) as progress,
    ):
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK].tolist()
            for row, found in zip(block, pool.map(guarded, block), strict=True):
                progress.advance()
                yield row, found
