"""Layers that several detectors share."""

from __future__ import annotations

from torch import nn


def convolve(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    """Return a convolution without bias, batch norm and ReLU; the size changes by the stride."""
    convolution = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
