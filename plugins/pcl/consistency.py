"""The consistency branch, and the conversion of its volume to a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConsistencyBranch(nn.Module):
    """Logits of whether two cells come from the same source: theta(f_i) . theta(f_j) / sqrt(D).

    Args:
        channels: channels of the features, and D of the embedding theta.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return float32 logits (B, h, w, h, w) of features (B, D, h, w)."""
        height, width = features.shape[-2:]
        embedded = self.embedding(features).flatten(2)  # (B, D, N)
        # Scaled before the product, which would overflow in half precision otherwise.
        scaled = embedded / embedded.shape[1] ** 0.5
        logits = scaled.transpose(1, 2) @ embedded  # (B, N, N)
        return logits.float().unflatten(2, (height, width)).unflatten(1, (height, width))


def inconsistency_with_border(volume: Tensor) -> Tensor:
    """Return 1 - the mean consistency of each cell with those on the border of the grid.

    For the true volume of a mask that does not touch the border this is the mask.

    Args:
        volume: (B, h, w, h, w) in [0, 1].

    Returns:
        (B, 1, h, w) in [0, 1].
    """
    sides = (volume[:, 0], volume[:, -1], volume[:, 1:-1, 0], volume[:, 1:-1, -1])
    return 1 - torch.cat(sides, dim=1).mean(dim=1, keepdim=True)
