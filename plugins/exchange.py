"""Train a network in two processes on one machine and check that they agree."""

from __future__ import annotations

import copy
import os
import tempfile
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from focus.detectors import Trainable
from focus.runtime import seed_everything
from focus.types import Batch

STEPS = 2


class _Step(nn.Module):
    """The loss inside ``forward``, where gradients are synchronised."""

    def __init__(self, network: Trainable) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> torch.Tensor:
        return torch.stack([t.float() for t in self.network.loss(batch).values()]).sum()


def train_in_two_processes(network: Trainable, batch: Batch) -> str:
    """Train on half of a batch in each of two processes; return a summary.

    Raises:
        RuntimeError: a process failed, or their parameters differ afterwards.
    """
    try:
        ForkingPickler.dumps(network)
    except Exception as error:  # third-party code may raise anything
        return f"skipped: it cannot be pickled for another process ({error})"
    # PyTorch warns about find_unused_parameters, which only some detectors need.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with tempfile.TemporaryDirectory() as folder:
        spawn(_work, (folder, network, batch), nprocs=2, join=True)
        first, second = (torch.load(Path(folder) / f"{n}.pt", weights_only=True) for n in (0, 1))
    worst = max(float((first[name] - second[name]).abs().max()) for name in first)
    if worst > 0:
        raise RuntimeError(f"parameters differ by {worst:.2g} between the processes")
    return f"equal parameters after {STEPS} steps"


def _work(rank: int, folder: str, network: Trainable, batch: Batch) -> None:
    network = copy.deepcopy(network)  # tensors sent to a process share memory
    torch.set_num_threads(max((os.cpu_count() or 2) // 2, 1))
    meeting = (Path(folder) / "meeting").as_uri()
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    try:
        half = len(batch.keys) // 2
        mine = slice(rank * half, (rank + 1) * half)
        share = Batch(
            batch.images[mine],
            batch.labels[mine],
            None if batch.maps is None else batch.maps[mine],
            batch.keys[mine],
            batch.rows[mine],
            companions=None if batch.companions is None else batch.companions[mine],
        ).standardised(network.input_spec)
        step = DistributedDataParallel(_Step(network.train()), find_unused_parameters=True)
        optimizer = torch.optim.SGD(step.parameters(), 1e-3)
        for number in range(STEPS):
            seed_everything(0, number, rank)
            optimizer.zero_grad()
            step(share).backward()
            optimizer.step()
        state = {name: value.detach() for name, value in network.named_parameters()}
        torch.save(state, Path(folder) / f"{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
