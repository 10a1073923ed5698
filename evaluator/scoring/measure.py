"""Read truth masks in threads and compare maps with them, as histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluator.metrics.counting import Histograms, PixelPool, count_levels
from evaluator.metrics.prior import MaskPrior
from focus.data.cropping import PADDED, locate_padding
from focus.data.images import read_face, read_mask, split_path
from focus.data.index import FaceIndex
from focus.errors import UnreadableError
from focus.mapstore import MapReader
from focus.runtime import Progress, available_cores
from focus.types import FAKE, REAL, Failure

PRIOR_FACES = 2000
_THREADS = min(8, available_cores())
_BLOCK = 128  # faces: two blocks of masks and regions of 1024 px are half a GiB


class Truth(NamedTuple):
    """The truth of a face, bool (H, W) each."""

    mask: np.ndarray
    region: np.ndarray | None = None
    padding: np.ndarray | None = None  # pixels beyond the edge of the image, which do not count


class TruthReader:
    """Thread-safe reader of the truth masks and regions of an index."""

    def __init__(self, index: FaceIndex) -> None:
        self._root, self._labels = index.root, index.labels
        self._paths, self._masks, self._regions = map(index.column, ("path", "mask", "region"))
        self._boxes, self._padded = index.column("box"), index.column(PADDED)
        self._lock = Lock()

    def has(self, row: int) -> bool:
        """Return whether the truth is known: a fake with a mask, or a real face."""
        label = self._labels[row]
        return label == REAL or bool(label == FAKE and self._masks[row])

    def read(self, row: int) -> Truth:
        """Return the truth of a face; a region that is missing is None.

        The mask of a real face is empty regardless of its file, and of the image's size.

        Raises:
            UnreadableError: a file is missing or broken, or mask and region differ in size.
        """
        path, mask_path, region_path = self._paths[row], self._masks[row], self._regions[row]
        if self._labels[row] == REAL:
            if mask_path:
                mask = np.zeros_like(self._read_mask("mask", mask_path))
            else:
                read = partial(read_face, self._root, path, self._boxes[row])
                mask = np.zeros(self._guard("image", path, read).shape[:2], dtype=bool)
            return Truth(mask, None, self._padding(row, mask))
        mask = self._read_mask("mask", mask_path)
        padding = self._padding(row, mask)
        if not region_path:
            return Truth(mask, None, padding)
        region = mask if region_path == mask_path else self._read_mask("region", region_path)
        if region.shape != mask.shape:
            sizes = (f"{height} x {width}" for height, width in (region.shape, mask.shape))
            raise UnreadableError("region {} is {}, the mask {}".format(region_path, *sizes))
        return Truth(mask, region, padding)

    def _padding(self, row: int, mask: np.ndarray) -> np.ndarray | None:
        """Return the pixels beyond the edge of the image, None if there are none."""
        if not self._padded[row]:
            return None
        return locate_padding(self._padded[row], (mask.shape[0], mask.shape[1]))

    def _read_mask(self, kind: str, path: str) -> np.ndarray:
        return self._guard(kind, path, partial(read_mask, self._root / path))

    def _guard(self, kind: str, path: str, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Read a file; serialise access to videos and archives, whose open files are shared."""
        where = split_path(path)
        shared = where.member or where.frame is not None
        try:
            with self._lock if shared else nullcontext():
                return read()
        except UnreadableError as error:
            raise UnreadableError(f"{kind} {path}: {error}") from None


@dataclass(frozen=True)
class Measured:
    """Comparison of maps with the truth, for M faces of an index."""

    rows: np.ndarray
    """int64 (M,): their rows in the index, ascending."""
    maps: Histograms
    """Histograms of their maps."""
    priors: Histograms
    """Histograms of the mean mask of other videos; zero if missing, and for real faces."""
    has_prior: np.ndarray
    """bool (M,): whether such a mask exists."""
    failures: tuple[Failure, ...]
    """Faces whose truth could not be read; they are not among the M."""
    groups: np.ndarray
    """int64 (M,): the group of each face in the pools."""
    pool: PixelPool
    """Pixels of the maps of fakes."""
    prior_pool: PixelPool
    """Pixels of the mean masks of fakes."""


def measure(
    index: FaceIndex,
    rows: np.ndarray,
    reader: MapReader,
    prior: MaskPrior | None = None,
    *,
    device: torch.device | str = "cpu",
    quiet: bool = False,
    groups: np.ndarray | None = None,
) -> Measured:
    """Compare the maps of some faces with their truth.

    Args:
        index: the faces.
        rows: int (N,), ascending: real faces, and fakes with a mask. A missing map counts as the
            complement of the truth.
        reader: the map file.
        prior: mean mask, also compared with the truth of fakes.
        device: device that counts pixels; counts do not depend on it.
        quiet: hide progress.
        groups: int (N,), parts of the faces whose pixels are pooled separately; default: one.
    """
    return measure_each(index, rows, [reader], prior, device=device, quiet=quiet, groups=groups)[0]


def measure_each(
    index: FaceIndex,
    rows: np.ndarray,
    readers: Sequence[MapReader],
    prior: MaskPrior | None = None,
    *,
    device: torch.device | str = "cpu",
    quiet: bool = False,
    groups: np.ndarray | None = None,
) -> list[Measured]:
    """Compare several map files with the truth, reading it once. See :func:`measure`.

    Threads read the next block while one is counted; memory holds two blocks of masks and the
    histograms of all faces.
    """
    truths, videos = TruthReader(index), np.array(video_names(index), dtype=object)
    stored = [stored_rows(reader, [index.keys[row] for row in rows]) for reader in readers]
    maps, priors = [Histograms.empty(len(rows)) for _ in readers], Histograms.empty(len(rows))
    groups = np.zeros(len(rows), dtype=np.int64) if groups is None else groups
    pools, prior_pool = [PixelPool() for _ in readers], PixelPool()
    known, has_prior = np.zeros((2, len(rows)), dtype=bool)
    failures: list[Failure] = []
    blocks = _read_ahead(truths.read, index, rows, "reading masks", quiet)
    with _sharing_cores():
        for start, found in blocks:
            failures += [truth for truth in found if isinstance(truth, Failure)]
            for batch in _stack(found, start, device):
                here = batch.places
                known[here] = True
                batch = batch._replace(groups=groups[here])
                for table, pool, reader, there in zip(maps, pools, readers, stored, strict=True):
                    table.put(here, batch.compare_stored(reader, there[here], pool))
                if prior is not None:
                    usual, others = prior.without(videos[rows[here]])
                    chosen = np.flatnonzero(others & (index.labels[rows[here]] == FAKE))
                    has_prior[here[chosen]] = True
                    found_prior = batch.take(chosen).compare(usual[chosen], prior_pool)
                    priors.put(here[chosen], found_prior)
    priors, has_prior = priors.take(known), has_prior[known]
    shared = priors, has_prior, tuple(failures), groups[known]
    return [
        Measured(rows[known], table.take(known), *shared, pool, prior_pool)
        for table, pool in zip(maps, pools, strict=True)
    ]


def mean_mask(
    index: FaceIndex, rows: np.ndarray, quiet: bool = False
) -> tuple[MaskPrior, tuple[Failure, ...]]:
    """Return the mean mask of at most 2,000 fakes, spread evenly over ``rows``."""
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), PRIOR_FACES)).round().astype(int)]
    truths, videos, prior = TruthReader(index), video_names(index), MaskPrior()
    failures: list[Failure] = []
    for start, found in _read_ahead(truths.read, index, rows, "reading the prior's masks", quiet):
        for place, truth in enumerate(found, start):
            if isinstance(truth, Failure):
                failures.append(truth)
            else:
                mask = truth.mask if truth.padding is None else truth.mask & ~truth.padding
                prior.add(mask, videos[rows[place]])
    return prior, tuple(failures)


def stored_rows(reader: MapReader, keys: Sequence[str]) -> np.ndarray:
    """Return the row of each key in a map file, int64 (N,); -1 if missing."""
    return np.array([reader.row(key) if key in reader else -1 for key in keys], dtype=np.int64)


def masked_fakes(index: FaceIndex, rows: np.ndarray) -> np.ndarray:
    """Return the rows that are fakes with a mask, int64 (K,)."""
    masks = np.array(index.column("mask"), dtype=object)
    return rows[(index.labels[rows] == FAKE) & (masks[rows] != "")]


def video_names(index: FaceIndex) -> list[str]:
    """Return the video of every face; a face without one gets a unique name."""
    return [video or f"\0{row}" for row, video in enumerate(index.column("video"))]


def _read_ahead(
    read: Callable[[int], Truth], index: FaceIndex, rows: np.ndarray, label: str, quiet: bool
) -> Iterator[tuple[int, list[Truth | Failure]]]:
    """Yield blocks of truths in order, while threads read the next block.

    Each block comes with the position of its first row in ``rows``.
    """

    def guarded(row: int) -> Truth | Failure:
        try:
            return read(row)
        except UnreadableError as error:
            return Failure(row, index.keys[row], str(error))

    starts = range(0, len(rows), _BLOCK)
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        Progress(len(rows), label, "faces", quiet) as progress,
    ):
        blocks = (pool.map(guarded, rows[start : start + _BLOCK].tolist()) for start in starts)
        ahead = next(blocks, iter(()))
        for start in starts:
            now, ahead = ahead, next(blocks, iter(()))
            found = list(now)
            progress.advance(len(found))
            yield start, found


@contextmanager
def _sharing_cores() -> Iterator[None]:
    """Limit torch to half of the cores; reader threads use the others.

    With all cores, torch's threads compete with the readers: on two cores counting took 1.2 times
    as long and 1.6 times the CPU time.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, available_cores() // 2)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Batch(NamedTuple):
    """Faces whose truths have the same size."""

    places: np.ndarray  # int64 (B,)
    masks: Tensor  # bool (B, H, W)
    regions: Tensor | None  # bool (B, H, W)
    padding: Tensor | None  # bool (B, H, W)
    groups: np.ndarray  # int64 (B,)

    def take(self, chosen: np.ndarray) -> _Batch:
        """Return some of the faces."""
        there = torch.from_numpy(chosen).to(self.masks.device)
        regions, padding = (
            None if part is None else part[there] for part in (self.regions, self.padding)
        )
        return _Batch(self.places[chosen], self.masks[there], regions, padding, self.groups[chosen])

    def compare_stored(self, reader: MapReader, stored: np.ndarray, pool: PixelPool) -> Histograms:
        """Compare stored maps with the truths; a missing map (-1) counts as the complement."""
        has, lacks = np.flatnonzero(stored >= 0), np.flatnonzero(stored < 0)
        if not len(lacks):
            return self.compare(reader.read(stored), pool)
        found = Histograms.empty(len(stored))
        if len(has):
            found.put(has, self.take(has).compare(reader.read(stored[has]), pool))
        wrong = self.take(lacks)
        found.put(lacks, wrong._count((~wrong.masks).float(), pool))
        return found

    def compare(self, maps: np.ndarray, pool: PixelPool) -> Histograms:
        """Compare maps (B, h, w) with the truths."""
        return self._count(torch.from_numpy(maps).to(self.masks.device), pool)

    def _count(self, maps: Tensor, pool: PixelPool) -> Histograms:
        return count_levels(maps, self.masks, self.regions, self.padding, pool, self.groups)


def _stack(
    found: Sequence[Truth | Failure], start: int, device: torch.device | str
) -> Iterator[_Batch]:
    """Yield batches of truths on the device; positions count from ``start``.

    A region equal to the mask contains a single class, so it is not counted.
    """
    groups: dict[tuple[tuple[int, ...], bool, bool], list[tuple[int, Truth]]] = {}
    for place, truth in enumerate(found):
        if not isinstance(truth, Failure):
            alone = truth.region is None or truth.region is truth.mask
            kind = truth.mask.shape, alone, truth.padding is None
            groups.setdefault(kind, []).append((place, truth))
    for (_, alone, whole), members in groups.items():
        places = start + np.array([place for place, _ in members])
        masks, regions, padding = zip(*(truth for _, truth in members), strict=True)

        def stack(planes: Sequence[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(planes)).to(device)

        yield _Batch(
            places,
            stack(masks),
            None if alone else stack(regions),
            None if whole else stack(padding),
            np.zeros(len(places), dtype=np.int64),
        )
