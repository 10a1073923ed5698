"""The classification module: both kinds of features under the attention of the semantic map."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from timm.models.xception import Block
from torch import Tensor, nn

from plugins.telltales.map_prediction import FEATURES

Attention = Literal["logit", "sigmoid"]
GRID = 19  # cells a side of the features at 299 pixels, as the last layers require


class Classification(nn.Module):
    """Fuse attended semantic and noise features into one logit.

    Args:
        attention: multiply by the map's logit itself, or by its sigmoid.
    """

    def __init__(self, attention: Attention = "logit") -> None:
        super().__init__()
        self.attention = attention
        width = 2 * FEATURES
        self.fusion = Block(width, width, 2, 2)
        self.reduction = nn.Sequential(
            nn.Conv2d(width, 128, 3),
            nn.Conv2d(128, 256, 1),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(256, 256, 3),
            nn.Conv2d(256, 728, 1),
            nn.BatchNorm2d(728),
            nn.ReLU(),
        )
        self.verdict = nn.Sequential(nn.Flatten(), nn.Linear(4 * 728, 100), nn.Linear(100, 1))

    def forward(self, semantic: Tensor, noise: Tensor, mask: Tensor) -> Tensor:
        """Return logits (B,) of fake.

        Args:
            semantic: features (B, 64, h, w).
            noise: noise features of the same shape.
            mask: logits (B, 1, h, w) of manipulation.
        """
        weight = mask.sigmoid() if self.attention == "sigmoid" else mask
        attended = torch.cat([semantic, noise], dim=1) * weight
        if attended.shape[-2:] != (GRID, GRID):
            attended = F.interpolate(attended, (GRID, GRID), mode="bilinear")
        return self.verdict(self.reduction(self.fusion(attended)))[:, 0]
