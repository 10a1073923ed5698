"""Complementary learning (FoCus, Sec. III-C): choose one modality's token at each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from focus.network.carp import CLASSES

HEAD_DIM = 64


class TokenSwap(nn.Module):
    """Scores each token of both modalities and keeps the better one at each position.

    Training samples the choice by hard Gumbel-softmax with a straight-through gradient; evaluation
    takes the larger score.

    Args:
        dim: channels of a token.
        temperature: tau of the Gumbel-softmax.
    """

    def __init__(self, dim: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.scores = nn.ModuleList(_score_head(dim) for _ in range(2))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return swapped tokens (B, N, D) and the one-hot choice (B, N, 2), float32."""
        pair = (first, second)
        logits = torch.cat([head(x) for head, x in zip(self.scores, pair, strict=True)], dim=-1)
        logits = logits.float()
        if self.training:
            choice = F.gumbel_softmax(logits, tau=self.temperature, hard=True, dim=-1)
        else:
            choice = F.one_hot(logits.argmax(dim=-1), 2).float()
        weights = choice.to(first.dtype)
        return weights[..., :1] * first + weights[..., 1:] * second, choice


class FusionHead(nn.Module):
    """One transformer block over the fused tokens, their mean, and a linear layer to logits."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        heads = next(count for count in range(max(dim // HEAD_DIM, 1), 0, -1) if dim % count == 0)
        self.block = Block(dim, heads, mlp_ratio=4.0, qkv_bias=True)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (B, 2) of tokens (B, N, D)."""
        return self.head(self.norm(self.block(tokens)).mean(dim=1))


def _score_head(dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, 1)
    )
