"""Combining patch sequences: cross-patch inconsistency (CPI) and aggregation (CPA)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.lttd.local_sequence import stack_blocks


def similarity(embeddings: Tensor) -> Tensor:
    """Return S[i, j] = (1 + cos(e_i, e_j)) / 2 of every two embeddings: (B, N, D) to (B, N, N).

    In [0, 1], float32 under autocast too.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        directions = F.normalize(embeddings.float(), dim=2)
        return ((1 + directions @ directions.mT) / 2).clamp(0, 1)


def inconsistency_loss(found: Tensor, agreement: Tensor, tolerance: float) -> Tensor:
    """Return the mean of max(|C - S| - tolerance, 0)^2 over all pairs, a scalar.

    Args:
        found: S (B, N, N) in [0, 1].
        agreement: C, of the same shape.
        tolerance: deviation without cost.
    """
    return ((agreement - found).abs() - tolerance).clamp_min(0).square().mean()


class CrossPatchAggregation(nn.Module):
    """The class of a clip from the class tokens of its sequences.

    Args:
        width: channels D of a token.
        heads: attention heads.
        depth: number of blocks.
        positions: number of sequences in a clip to learn a position embedding, else 0.
    """

    def __init__(self, width: int, heads: int, depth: int, positions: int = 0) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.normal_(self.class_token, std=0.02)
        places = torch.empty(1, positions, width)
        nn.init.normal_(places, std=0.02)
        self.places = nn.Parameter(places) if positions else None
        self.blocks = stack_blocks(width, heads, depth)
        self.classifier = nn.Linear(width, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return float32 logits (B, 2) of real and fake of class tokens (B, N, D)."""
        if self.places is not None:
            tokens = tokens + self.places
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.classifier(self.blocks(tokens)[:, 0]).float()
