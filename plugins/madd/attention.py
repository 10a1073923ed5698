"""The attention module: M attention maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BORDER_GRID, BORDER = 24, 2


class AttentionHead(nn.Module):
    """M attention maps, ELU + 1 of two convolutions, 0 at the border of the face."""

    frame: Tensor

    def __init__(self, channels: int, attentions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, attentions, 1, bias=False),
            nn.BatchNorm2d(attentions),
        )
        inner = torch.ones(1, 1, BORDER_GRID - 2 * BORDER, BORDER_GRID - 2 * BORDER)
        self.register_buffer("frame", F.pad(inner, (BORDER,) * 4), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return attentions (B, M, h, w), float32, of features (B, C, h, w)."""
        values = F.elu(self.layers(features).float()) + 1
        return values * F.interpolate(self.frame, values.shape[-2:], mode="nearest")
