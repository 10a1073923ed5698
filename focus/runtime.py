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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from focus.errors import InputError, printable
from focus.processes import process_rank
from focus.streams import print_error

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

T = TypeVar("T")
PLAIN_SECONDS = 10.0
ANSWER_SECONDS = 600.0  # that a process waits for another one of its run
_LAUNCHER_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES",
)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class Runtime:
    """Flags that every command has."""

    device: str = "auto"
    """auto (a CUDA GPU, else the CPU), or a device that torch knows: cpu, cuda, cuda:1, mps ..."""
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
            InputError: a device that torch does not know or that is missing here, fp16 on a CPU,
                or a broken variable of a launcher in the environment.
        """
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, PartialState
        from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

        _check_environment()
        device = find_device(self.device)
        use_cpu = device.type == "cpu"
        if use_cpu:
            keep_freed_memory()
        if use_cpu and self.precision == "fp16":
            raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or fp32")
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        # accelerate keeps one state a process; a second run in it may want another precision.
        alone = not PartialState._shared_state or PartialState().num_processes == 1
        AcceleratorState._reset_state(reset_partial_state=alone)
        with _explaining_environment():
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
        if accelerator.device.type != device.type:
            raise InputError(
                f"--device {self.device}: accelerate chose {accelerator.device.type}; use that, "
                "auto or cpu"
            )
        if accelerator.num_processes == 1:
            _warn_of_one_process()
        return accelerator


def find_device(name: str) -> torch.device:
    """Return the device of a name that torch knows, or the one that ``auto`` stands for.

    Raises:
        InputError: torch does not know it, or it is missing here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: unknown; use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cpu":
        return device
    backend = getattr(torch, device.type, None) or getattr(torch.backends, device.type, None)
    is_available = getattr(backend, "is_available", lambda: False)
    count = getattr(backend, "device_count", lambda: 1)
    if not is_available() or (device.index or 0) >= count():
        raise InputError(f"--device {name}: no such device here; use --device cpu or auto")
    return device


def _check_environment() -> None:
    """Refuse engines of accelerate that the training loop does not support.

    Raises:
        InputError: a variable asks for one.
    """
    for engine in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
        variable = f"ACCELERATE_USE_{engine}"
        if os.environ.get(variable, "").lower() in ("1", "true", "yes", "on", "y", "t"):
            raise InputError(f"{variable}={os.environ[variable]}: not supported here; unset it")


@contextmanager
def _explaining_environment() -> Iterator[None]:
    """Turn what accelerate raises on broken variables into one line that names them."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)  # half made, it fails ever after
        names = sorted(name for name in os.environ if name.startswith("ACCELERATE_"))
        names += [name for name in _LAUNCHER_VARIABLES if name in os.environ]
        if not names:
            raise
        given = ", ".join(f"{name}={os.environ[name]}" for name in names)
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise InputError(
            f"accelerate cannot start ({reason}); fix or unset these variables: {given}"
        ) from None


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
    """Return how many processes of this run share this machine, as the launcher says.

    Raises:
        InputError: the launcher's variable is not a number.
    """
    given = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if not given.isdecimal():
        raise InputError(f"LOCAL_WORLD_SIZE={given}: not a number of processes; fix or unset it")
    return max(int(given), 1)


def note(text: str, quiet: bool = False, everywhere: bool = False) -> None:
    """Print one line for the person at the terminal (standard error; results go to output).

    Of several processes the main one speaks, unless each has something of its own to say.
    """
    if not quiet and (everywhere or process_rank() == 0):
        print_error(printable(text))


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
