"""Multi-level features aggregation (MFA)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def convolve(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution without bias that keeps the size, BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class MultiLevelAggregation(nn.Module):
    """Project the levels of a backbone to one width and fuse them.

    Args:
        channels: channels of each level.
        width: channels of the result.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.align = nn.ModuleList(convolve(level, width) for level in channels)
        self.fuse = convolve(width * len(channels), width)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return (B, width, h, w) of levels (B, C, h, w) that share their size."""
        aligned = [align(level) for align, level in zip(self.align, levels, strict=True)]
        return self.fuse(torch.cat(aligned, dim=1))
