"""Dual attention (Fu et al., CVPR 2019): over the positions, and over the channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.layers import convolve

REDUCTION = 8  # of the channels of queries and keys
DROPOUT = 0.1


class PositionAttention(nn.Module):
    """Adds to every position what similar positions have; its gate starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // REDUCTION, 1)
        # A bias would add the same to all keys of a query, which the softmax removes.
        self.key = nn.Conv2d(width, width // REDUCTION, 1, bias=False)
        self.value = nn.Conv2d(width, width, 1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return features in the shape of the features (B, C, H, W)."""
        parts = (self.query, self.key, self.value)
        # (B, 1, H * W, c)
        query, key, value = (part(features).flatten(2).mT[:, None] for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, scale=1.0)[:, 0]
        return features + self.gate * attended.mT.unflatten(2, features.shape[-2:])


class ChannelAttention(nn.Module):
    """Adds to every channel what dissimilar channels have; its gate starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return features in the shape of the features (B, C, H, W)."""
        with torch.autocast(features.device.type, enabled=False):
            channels = features.float().flatten(2)  # (B, C, H * W)
            energy = channels @ channels.mT
            shares = (energy.amax(dim=2, keepdim=True) - energy).softmax(dim=2)
            return features + self.gate * (shares @ channels).view_as(features)


class DualAttention(nn.Module):
    """Map logits from features attended in two ways, each between two convolutions.

    Args:
        width_in: channels of the features.
        width: channels inside.
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.position = nn.Sequential(
            *convolve(width_in, width), PositionAttention(width), *convolve(width, width)
        )
        self.channel = nn.Sequential(
            *convolve(width_in, width), ChannelAttention(), *convolve(width, width)
        )
        self.dropout = nn.Dropout2d(DROPOUT)
        self.locate = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, 1, H, W) of features (B, width_in, H, W)."""
        return self.locate(self.dropout(self.position(features) + self.channel(features)))
