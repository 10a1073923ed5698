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

from focus.data.balance import PAIRED, Group, find_originals, group_rows
from focus.data.faces import Draw, FaceDataset
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.processes import check_sockets
from focus.processes.signals import FOR_PARENT, end_with_parent, held_back, obey_parent
from focus.runtime import available_cores, local_processes, return_freed_memory
from focus.types import REAL, Balance, Batch, Failure, Sample

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
            the other half in equal shares of the forgery methods; ``source``: as many real as fake
            faces of every source; ``pair``: so too, and each fake beside its own original.
        seed: random seed of the shuffles.
        process: (rank, number of processes).
        accumulation: micro-batches per optimiser step.
        forged: share of the fakes that are made on the fly, each beside its original.
    """

    index: FaceIndex
    batch: int
    steps: tuple[int, int]
    balance: Balance = "none"
    seed: int = 0
    process: tuple[int, int] = (0, 1)
    accumulation: int = 1
    forged: float = 0.0

    def __post_init__(self) -> None:
        share = self.process[1] * self.accumulation
        if self.batch % (share * self._unit):
            pairs = " x 2 faces of a pair" if self._unit > 1 else ""
            raise InputError(
                f"--batch {self.batch}: not divisible by {self.process[1]} processes x "
                f"{self.accumulation} micro-batches{pairs}"
            )

    @property
    def _unit(self) -> int:
        """The number of neighbours that stay in one micro-batch."""
        return 2 if self.forged or self.balance in PAIRED else 1

    def __len__(self) -> int:
        return (self.steps[1] - self.steps[0]) * self.accumulation

    def __iter__(self) -> Iterator[list[Draw]]:
        stream = _Stream(self)
        rank, processes = self.process
        for step in range(*self.steps):
            first = step * self.batch
            mine = [
                stream.draw(first + place)
                for place in range(self.batch)
                if place // self._unit % processes == rank
            ]
            size = len(mine) // self.accumulation
            yield from (mine[k : k + size] for k in range(0, len(mine), size))


class _Stream:
    """The endless stream of draws of a plan: positions alternate between real and fake faces."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.seed, self.balance = plan.seed, plan.balance
        self._orders: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._all, self._groups = np.arange(len(plan.index)), list[Group]()
        if plan.balance != "none":
            self._groups = group_rows(plan.index, plan.balance, plan.forged)
        paired = plan.balance == "pair"
        self._originals = find_originals(plan.index) if paired else np.full(len(plan.index), -1)

    def draw(self, place: int) -> Draw:
        """Return the draw at a position of the stream."""
        if not self._groups:
            return Draw(self._take(0, 0, self._all, place), place)
        number, is_fake = divmod(place, 2)
        turn, which = divmod(number, len(self._groups))
        group = self._groups[which]
        made = group.count_forged(turn)
        if group.count_forged(turn + 1) > made:
            # An order apart where originals fix the real faces of the other turns.
            order = (2, made) if self.balance == "pair" else (0, turn)
            row = self._take(order[0], which, group.real, order[1])
            return Draw(row, 2 * number, forged=bool(is_fake))
        if self.balance != "pair":
            if not is_fake:
                return Draw(self._take(0, which, group.real, turn), place)
            return Draw(self._take_fake(group, which, turn - made), place)
        fake = self._take_fake(group, which, turn - made)
        original = int(self._originals[fake])
        if original < 0:
            original = self._take(0, which, group.real, turn - made)
        return Draw(fake, 2 * number, partner=original) if is_fake else Draw(original, 2 * number)

    def _take_fake(self, group: Group, which: int, turn: int) -> int:
        turn, part = divmod(turn, len(group.fakes))
        return self._take(1, which + part, group.fakes[part], turn)

    def _take(self, kind: int, which: int, rows: np.ndarray, turn: int) -> int:
        """Return the row of a turn: every pass over the rows is reshuffled."""
        epoch, position = divmod(turn, len(rows))
        if self._orders.get((kind, which), (-1,))[0] != epoch:
            shuffle = np.random.default_rng((self.seed, kind, which, epoch))
            self._orders[kind, which] = epoch, shuffle.permutation(rows)
        return int(self._orders[kind, which][1][position])


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

    Raises:
        InputError: a temporary folder in which workers cannot send tensors.
    """
    count = count_workers(workers)
    if count:
        check_sockets()
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
