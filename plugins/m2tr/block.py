"""A block of M2TR: patches, frequencies, and an attention from the first to the second."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from plugins.m2tr.frequency_filter import FrequencyFilter
from plugins.m2tr.patch_attention import PatchAttention, convolve


class CrossModalityAttention(nn.Module):
    """Adds to every position what one modality finds in all positions of the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(width, width, 1, bias=False)  # see PatchAttention
        self.value = nn.Conv2d(width, width, 1)
        self.out = convolve(width, width, side=1)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """Return features in the shape of both modalities' (B, C, H, W)."""
        parts = (self.query(asking), self.key(asked), self.value(asked))
        query, key, value = (part.flatten(2).mT[:, None] for part in parts)  # (B, 1, H * W, C)
        attended = F.scaled_dot_product_attention(query, key, value)[:, 0]
        return asking + self.out(attended.mT.unflatten(2, asking.shape[-2:]))


class Block(nn.Module):
    """Patch attention and frequency filter of the same features, then their exchange.

    Args:
        width: channels of the features.
        side: of the grid for which the filter is stored.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.patches = PatchAttention(width)
        self.frequencies = FrequencyFilter(width, side)
        self.exchange = CrossModalityAttention(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features in the shape of the features (B, C, H, W)."""
        return self.exchange(self.patches(features), self.frequencies(features))
