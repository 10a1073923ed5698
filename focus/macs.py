"""Count the multiply-accumulate operations of a computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Result = TypeVar("Result")


def count_macs(work: Callable[[], Result]) -> tuple[int, Result]:
    """Return the multiply-accumulates of ``work`` and its result.

    Counts matrix products, convolutions and attention, but no element-wise operations. Runs
    ``work`` once, without gradients unless it enables them itself; a backward pass inside it counts
    too. Attention runs as plain matrix products, because torch counts its fused kernels on some
    devices only.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = work()
    return counter.get_total_flops() // 2, result
