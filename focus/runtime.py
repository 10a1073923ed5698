"""Flags that commands share (device, precision, seed, quiet), and progress output.

Imports torch and accelerate only when a device is needed, so that ``focus info`` starts at once.
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
ANSWER_SECONDS = 600.0  # time that a process waits for another one of its run
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_PRECISIONS = ("no", "fp16", "bf16", "fp8")
_LAUNCHER_VARIABLES = (
    *_NUMBERS,
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "CUDA_VISIBLE_DEVICES",
)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@dataclass(frozen=True)
class QuietFlag:
    """The flag that every command has."""

    quiet: bool = False
    """Print only results and errors, no progress."""


@dataclass(frozen=True)
class SeedFlags(QuietFlag):
    """Flags of a command with random choices."""

    seed: int = 0
    """Random seed."""


@dataclass(frozen=True)
class DeviceFlags(SeedFlags):
    """Flags of a command that computes on a device, in fp32."""

    device: str = "auto"
    """auto (a CUDA GPU if available, else the CPU), or a torch device: cpu, cuda, cuda:1, mps."""

    def accelerator(self, accumulation: int = 1) -> Accelerator:
        """Return the accelerator for this device; see :func:`_start_accelerator`."""
        return _start_accelerator(self.device, "fp32", accumulation)


@dataclass(frozen=True)
class Runtime(DeviceFlags):
    """Flags of a command that runs a network."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the network's arithmetic (weights stay fp32)."""

    def accelerator(self, accumulation: int = 1) -> Accelerator:
        """Return the accelerator for this device and precision; see :func:`_start_accelerator`."""
        return _start_accelerator(self.device, self.precision, accumulation)


def _start_accelerator(name: str, precision: str, accumulation: int) -> Accelerator:
    """Return the accelerator for a device and precision, in one process or many.

    A process that waits for another fails after :data:`ANSWER_SECONDS`.

    Raises:
        InputError: an unknown or missing device, fp16 on a CPU, or an invalid launcher
            variable in the environment.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    _check_environment()
    device = find_device(name)
    use_cpu = device.type == "cpu"
    if use_cpu:
        keep_freed_memory()
    if use_cpu and precision == "fp16":
        raise InputError("--precision fp16 needs a GPU; on a CPU use bf16 or fp32")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    # accelerate keeps one state per process; a second run may need another precision.
    alone = not PartialState._shared_state or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=alone)
    with _explaining_environment():
        accelerator = Accelerator(
            cpu=use_cpu,
            mixed_precision="no" if precision == "fp32" else precision,
            gradient_accumulation_steps=accumulation,
            # In training without maps, the part of a detector that makes them has no gradient.
            kwargs_handlers=[
                DistributedDataParallelKwargs(find_unused_parameters=True),
                InitProcessGroupKwargs(timeout=timedelta(seconds=ANSWER_SECONDS)),
            ],
        )
    if accelerator.device.type != device.type:
        raise InputError(
            f"--device {name}: accelerate chose {accelerator.device.type}; use that, auto or cpu"
        )
    if accelerator.num_processes == 1:
        _warn_of_one_process()
    return accelerator


def find_device(name: str) -> torch.device:
    """Return the torch device of a name; ``auto``: a CUDA GPU if available, else the CPU.

    Raises:
        InputError: an unknown device, or one that is missing here.
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
    """Refuse invalid launcher variables, and engines that the training loop does not support.

    Raises:
        InputError: a variable has such a value.
    """
    for variable in _NUMBERS:
        given = os.environ.get(variable, "0")
        if not given.removeprefix("-").isdecimal():
            raise InputError(f"{variable}={given}: not a whole number; fix or unset it")
    given = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if given.lower() not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise InputError(f"ACCELERATE_MIXED_PRECISION={given}: unset it, or use one of {known}")
    for engine in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
        variable = f"ACCELERATE_USE_{engine}"
        if os.environ.get(variable, "").lower() in ("1", "true", "yes", "on", "y", "t"):
            raise InputError(f"{variable}={os.environ[variable]}: not supported here; unset it")


@contextmanager
def _explaining_environment() -> Iterator[None]:
    """Turn accelerate's errors on invalid variables into one line that names them."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)  # half-built state breaks later use
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
    """Warn if ``accelerate launch --cpu --num_processes 2`` has started only one process."""
    asked = {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= set(os.environ)
    if asked and "LOCAL_RANK" not in os.environ:
        note(
            "warning: accelerate launch --cpu has started one process and ignored --num_processes; "
            "to start several on CPUs, use --multi_gpu (without --cpu) or torchrun"
        )


def seed_everything(*values: int) -> None:
    """Seed torch, NumPy's and Python's global generators from any number of integers."""
    import torch

    state = np.random.SeedSequence(values).generate_state(2)
    torch.manual_seed(int(state[0]))
    random.seed(int(state[1]))


def keep_freed_memory() -> None:
    """Let glibc keep freed tensor memory instead of returning it to the kernel at every batch.

    Zeroing and mapping the same pages again for each large tensor takes 0.74 of 3.7 CPU seconds of
    a training step of two MobileNetV2 (batch 32, 224 px); with memory kept, 0.06. Other C
    libraries: no effect.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Return kept memory to the kernel before processes are forked.

    While a child lives, the first write to each page that it shares copies the page: 1.1 CPU
    seconds at the first batch of two ViT-S; fresh memory takes 0.2. Other C libraries: no
    effect.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def local_processes() -> int:
    """Return the number of processes of this run on this machine, as the launcher set it.

    Raises:
        InputError: the launcher's variable is not a number.
    """
    given = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if not given.isdecimal():
        raise InputError(f"LOCAL_WORLD_SIZE={given}: not a number of processes; fix or unset it")
    return max(int(given), 1)


def note(text: str, quiet: bool = False, everywhere: bool = False) -> None:
    """Print one line to standard error (results go to standard output).

    With several processes, only the main one prints, unless ``everywhere`` is true.
    """
    if not quiet and (everywhere or process_rank() == 0):
        print_error(printable(text))


class Progress:
    """A progress bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, total: int, label: str, unit: str = "faces", quiet: bool = False) -> None:
        self.total, self.label, self.unit, self.done = total, label, unit, 0
        self._start = self._printed = time.monotonic()
        self._bar = None
        self._quiet = quiet
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, unit=f" {unit}", smoothing=0.05, leave=False)

    def advance(self, count: int = 1, detail: str = "") -> None:
        """Count finished work; ``detail`` is shown after the rate."""
        self.done += count
        if self._bar is not None:
            self._bar.set_postfix_str(detail, refresh=False)
            self._bar.update(count)
        elif self.done and not self._quiet and time.monotonic() - self._printed > PLAIN_SECONDS:
            self._printed = time.monotonic()
            rate = self.done / (self._printed - self._start)
            left = (self.total - self.done) / rate
            line = f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f}/s"
            note(f"{line}, {left:.0f} s left  {detail}".rstrip())

    def close(self) -> None:
        """Remove the bar from the terminal."""
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
