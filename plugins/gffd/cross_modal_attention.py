"""Dual cross-modality attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KEY_RATIO = 8


class CrossModalAttention(nn.Module):
    """Each stream receives the other's values where both agree (dual cross-modal attention).

    Args:
        channels: number of channels of both streams.
        cells: h * w of the grid; the similarities go through a linear layer of this width.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        keys = channels // KEY_RATIO
        self.keys = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, keys, 1), nn.Conv2d(keys, keys, 1)) for _ in range(2)
        )
        self.mixing = nn.ModuleList(nn.Linear(cells, cells) for _ in range(2))
        self.values = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.weights = nn.Parameter(torch.zeros(2))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return both streams (B, C, h, w), each enriched by the other."""
        keys = [key(x).flatten(2) for key, x in zip(self.keys, (first, second), strict=True)]
        energy = keys[0].transpose(1, 2) @ keys[1]  # (B, N, N): rows first, columns second
        from_second = self.mixing[0](energy).softmax(dim=-1)
        from_first = self.mixing[1](energy.transpose(1, 2)).softmax(dim=-1)
        taken = self.values[1](second).flatten(2) @ from_second.transpose(1, 2)  # (B, C, N)
        given = self.values[0](first).flatten(2) @ from_first.transpose(1, 2)
        return (
            first + self.weights[0] * taken.view_as(first),
            second + self.weights[1] * given.view_as(second),
        )
