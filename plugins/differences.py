"""Learnable first differences of pixels or features."""

from __future__ import annotations

import torch
from torch import nn

NEIGHBOURS = ((2, 1), (1, 2), (2, 2))  # below, right, and both, in a 3 x 3 kernel


def first_differences(channels: int) -> nn.Conv2d:
    """Return a depthwise 3 x 3 convolution with three kernels per channel, without bias.

    The kernels start as the neighbour below, to the right, or diagonally, minus the pixel. The
    output has the size of the input; zeros surround it, so its last row and column are no
    differences.
    """
    convolution = nn.Conv2d(channels, 3 * channels, 3, padding=1, groups=channels, bias=False)
    kernels = torch.zeros(3, 1, 3, 3)
    kernels[:, :, 1, 1] = -1
    for kernel, (row, column) in enumerate(NEIGHBOURS):
        kernels[kernel, 0, row, column] = 1
    convolution.weight.data.copy_(kernels.repeat(channels, 1, 1, 1))
    return convolution
