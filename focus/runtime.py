"""Device, precision, seed and progress: the flags that every command has.

Imports torch and accelerate only when asked for a device, so that ``focus info`` starts at once.
"""

from __future__ import annotations

import ctypes
import functools
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from focus.errors import InputError, printable
from focus.processes import process_rank

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")
PLAIN_SECONDS = 10.0
ANSWER_SECONDS = 600.0  # that a process waits for another one of its run
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class Runtime:
    """Flags that every command has."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the network's arithmetic (weights stay fp32)."""
    seed: int = 0
    """Seed of everything that is drawn."""
    quiet: bool = False
    """No progress, only results and errors."""

    def accelerator(self, accumulation: int = 1) -> Accelerator:
        """Return the accelerator for this device and precision, in one process or many.

        A process that waits for another fails after :data:`ANSWER_SECONDS`.

        Raises:
            InputError: CUDA was asked for and is not there, or fp16 on a CPU.
        """
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, PartialState
        from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"--device {self.device}: no CUDA device here; use --device cpu")
        use_cpu = self.device == "cpu" or not torch.cuda.is_available()
        if use_cpu:
            keep_freed_memory()
        if use_cpu and self.precision == "fp16":
            raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or fp32")
        if self.device.startswith("cuda:"):
            torch.cuda.set_device(self.device)
        # accelerate keeps one state a process; a second run in it may want another precision.
        alone = not PartialState._shared_state or PartialState().num_processes == 1
        AcceleratorState._reset_state(reset_partial_state=alone)
        accelerator = Accelerator(
            cpu=use_cpu,
            mixed_precision="no" if self.precision == "fp32" else self.precision,
            gradient_accumulation_steps=accumulation,
            # Without maps, the part of a detector that draws them has no gradient.
            kwargs_handlers=[
                DistributedDataParallelKwargs(find_unused_parameters=True),
                InitProcessGroupKwargs(timeout=timedelta(seconds=ANSWER_SECONDS)),
            ],
        )
        if accelerator.num_processes == 1:
            _warn_of_one_process()
        return accelerator


@functools.cache
def _warn_of_one_process() -> None:
    """Say so where ``accelerate launch --cpu --num_processes 2`` has started one process."""
    asked = {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= set(os.environ)
    if asked and "LOCAL_RANK" not in os.environ:
        note(
            "warning: accelerate launch --cpu has started one process, whatever --num_processes; "
            "on CPUs --multi_gpu (without --cpu) starts several, and so does torchrun"
        )


def seed_everything(*values: int) -> None:
    """Seed torch, NumPy's and Python's global generators from any number of integers."""
    import torch

    state = np.random.SeedSequence(values).generate_state(2)
    torch.manual_seed(int(state[0]))
    random.seed(int(state[1]))


def keep_freed_memory() -> None:
    """Let glibc keep what tensors free instead of handing it back to the kernel at every batch.

    The same pages, zeroed and mapped anew for each large tensor, cost 0.74 of 3.7 CPU seconds of a
    training step of two MobileNetV2 (batch 32, 224 px); kept, 0.06. Other C libraries: no effect.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Hand kept memory back before processes are forked.

    While a child lives, the first write to each page that it shares copies the page: 1.1 CPU
    seconds at the first batch of two ViT-S, where fresh memory costs 0.2. Other C libraries: no
    effect.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def local_processes() -> int:
    """Return how many processes of this run share this machine, as the launcher says."""
    return max(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), 1)


def note(text: str, quiet: bool = False, everywhere: bool = False) -> None:
    """Print one line for the person at the terminal (standard error; results go to output).

    Of several processes the main one speaks, unless each has something of its own to say.
    """
    if not quiet and (everywhere or process_rank() == 0):
        print(printable(text), file=sys.stderr, flush=True)


class Progress:
    """A bar with rate and time left on a terminal, plain lines every ten seconds elsewhere."""

    def __init__(self, total: int, label: str, unit: str = "faces", quiet: bool = False) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, 0
        self._start = self._spoke = time.monotonic()
        self._bar = None
        self._quiet = quiet
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, unit=f" {unit}", smoothing=0.05, leave=False)

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Count work done; ``detail`` is shown behind the rate."""
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(detail, refresh=False)
            self._bar.update(count)
        elif self.done and not self._quiet and time.monotonic() - self._spoke > PLAIN_SECONDS:
            self._spoke = time.monotonic()
            rate = self.done / (self._spoke - self._start)
            left = (self.total - self.done) / rate
            line = f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f}/s"
            note(f"{line}, {left:.0f} s left  {detail}".rstrip())

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def track(
    items: Iterable[T], total: int, label: str, unit: str, quiet: bool = False
) -> Iterator[T]:
    """Yield ``items``, showing progress."""
    with Progress(total, label, unit, quiet) as progress:
        for item in items:
            yield item
            progress.advance()
