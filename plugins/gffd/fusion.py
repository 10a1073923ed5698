"""Fusion of the two streams."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ATTENTION_RATIO = 16


class Fusion(nn.Module):
    """Merge both streams to one, plus the result times a channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        narrow = channels // ATTENTION_RATIO
        self.attention = nn.Sequential(
            nn.Linear(channels, narrow, bias=False),
            nn.ReLU(),
            nn.Linear(narrow, channels, bias=False),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, C, h, w) of two streams of that shape."""
        merged = self.merge(torch.cat([first, second], dim=1))
        pooled = merged.mean(dim=(2, 3)), merged.amax(dim=(2, 3))
        weights = (self.attention(pooled[0]) + self.attention(pooled[1])).sigmoid()
        return merged * (1 + weights[:, :, None, None])
