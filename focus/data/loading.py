"""From data set to batches: the order of training rows, collation, and the data loader."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from focus.data.faces import Draw, FaceDataset
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.processes.signals import FOR_PARENT, end_with_parent, held_back, obey_parent
from focus.runtime import available_cores, local_processes, return_freed_memory
from focus.types import FAKE, REAL, Balance, Batch, Failure, Sample

PREFETCH = 4


@dataclass(frozen=True)
class TrainingPlan(Sampler[list[Draw]]):
    """The faces of each micro-batch, as a function of the seed and the step only.

    So a resumed run has the same batches as an uninterrupted one, and several processes share one
    global batch. Each group of faces (all; each label; each method) is reshuffled after every pass
    over it, and no face is repeated within a pass.

    Args:
        index: the training faces.
        batch: faces per optimiser step, over all processes.
        steps: (first, last) optimiser steps, last excluded.
        balance: ``none``: no balancing; ``label``: half real, half fake; ``method``: half real, and
            the other half in equal shares of the forgery methods.
        seed: random seed of the shuffles.
        process: (rank, number of processes).
        accumulation: micro-batches per optimiser step.
    """

    index: FaceIndex
    batch: int
    steps: tuple[int, int]
    balance: Balance = "none"
    seed: int = 0
    process: tuple[int, int] = (0, 1)
    accumulation: int = 1

    def __post_init__(self) -> None:
        share = self.process[1] * self.accumulation
        if self.batch % share:
            raise InputError(
                f"--batch {self.batch}: not divisible by {self.process[1]} processes x "
                f"{self.accumulation} micro-batches"
            )

    def __len__(self) -> int:
        return (self.steps[1] - self.steps[0]) * self.accumulation

    def __iter__(self) -> Iterator[list[Draw]]:
        groups = _groups(self.index, self.balance)
        orders: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        rank, processes = self.process
        for step in range(*self.steps):
            draws = [self._draw(groups, orders, step * self.batch + k) for k in range(self.batch)]
            mine = draws[rank::processes]
            size = len(mine) // self.accumulation
            yield from (mine[k : k + size] for k in range(0, len(mine), size))

    def _draw(
        self,
        groups: list[list[np.ndarray]],
        orders: dict[tuple[int, int], tuple[int, np.ndarray]],
        place: int,
    ) -> Draw:
        """Return the row at a position of the endless stream."""
        # Positions alternate between classes, then between the groups of a class.
        kind, turn = place % len(groups), place // len(groups)
        which, turn = turn % len(groups[kind]), turn // len(groups[kind])
        rows = groups[kind][which]
        epoch, position = divmod(turn, len(rows))
        if orders.get((kind, which), (-1,))[0] != epoch:
            shuffle = np.random.default_rng((self.seed, kind, which, epoch))
            orders[kind, which] = epoch, shuffle.permutation(rows)
        return Draw(int(orders[kind, which][1][position]), place)


def _groups(index: FaceIndex, balance: Balance) -> list[list[np.ndarray]]:
    """Return rows by class, and within a class by balanced group."""
    rows = np.arange(len(index))
    if balance == "none":
        return [[rows]]
    real, fake = rows[index.labels == REAL], rows[index.labels == FAKE]
    if balance == "label":
        return [[real], [fake]]
    methods = np.array(index.column("method"))[fake]
    return [[real], [fake[methods == method] for method in sorted(set(methods))]]


def collate(samples: Sequence[Sample | Failure]) -> Batch:
    """Stack samples; keep failures apart, and use zeros for a missing map of a real face.

    Maps are None unless every face of the batch that is not real has one.
    """
    read = [sample for sample in samples if isinstance(sample, Sample)]
    failures = tuple(sample for sample in samples if isinstance(sample, Failure))
    if not read:
        empty = torch.empty(0, dtype=torch.int64)
        return Batch(torch.empty(0, 3, 0, 0, dtype=torch.uint8), empty, None, (), empty, failures)
    companions = [sample.companion for sample in read if sample.companion is not None]
    return Batch(
        images=_stack_images([sample.image for sample in read]),
        labels=torch.tensor([sample.label for sample in read]),
        maps=_stack_maps(read),
        keys=tuple(sample.key for sample in read),
        rows=torch.tensor([sample.row for sample in read]),
        failures=failures,
        companions=_stack_images(companions) if companions else None,
    )


def _stack_images(images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack images (C, [T,] H, W); stills are (H, W, C) in memory, so stack them in that order."""
    if images[0].ndim == 4:
        return torch.stack(list(images))
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def _stack_maps(samples: Sequence[Sample]) -> torch.Tensor | None:
    known = [sample.map for sample in samples if sample.map is not None]
    if not known or any(s.map is None and s.label != REAL for s in samples):
        return None
    blank = torch.zeros_like(known[0])
    return torch.stack([blank if sample.map is None else sample.map for sample in samples])


def count_workers(workers: int) -> int:
    """Return the number of loader workers; -1: one fewer than the available cores, at most 16.

    The training processes of one machine divide its cores.
    """
    if workers >= 0:
        return workers
    return max(min(available_cores() // local_processes() - 1, 16), 1)


def build_loader(
    dataset: FaceDataset,
    batches: Sampler[Any] | Sequence[Sequence[int]],
    workers: int = -1,
    pin: bool = False,
    join: Callable[[Sequence[Sample | Failure]], Batch] = collate,
) -> DataLoader[Sample | Failure]:
    """Return a loader of :class:`~focus.types.Batch`, in the order of ``batches``.

    Each worker prepares up to ``PREFETCH`` batches ahead; ``join`` makes a batch of samples.
    """
    count = count_workers(workers)
    if count:
        return_freed_memory()
    return Loader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=join,
        num_workers=count,
        pin_memory=pin,
        prefetch_factor=PREFETCH if count else None,
        # Forked workers share the index; spawned ones would each have a copy.
        multiprocessing_context="fork" if count and sys.platform == "linux" else None,
        worker_init_fn=_start_worker,
    )


class Loader(DataLoader[Sample | Failure]):
    """A loader whose workers leave Ctrl-C and SIGTERM to the main process."""

    def __iter__(self) -> Any:
        """Start the workers and return the batches."""
        with held_back(*FOR_PARENT):
            return super().__iter__()


def _start_worker(_: int) -> None:
    """Set up a worker: one thread, since the network needs the other cores."""
    import cv2

    # The garbage collector writes to all objects that it visits: it would copy 100 MB per worker.
    gc.freeze()
    end_with_parent()
    obey_parent()
    # Called only by a library thread, if the main process exits before it has all batches.
    sys.excepthook = lambda *_: None
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
