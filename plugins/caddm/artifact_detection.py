"""The Artifact Detection Module: four feature levels, fine to coarse, with heads over anchors."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.caddm.anchors import LEAST_GRID, PER_CELL

CLASSES = 2


class Detection(NamedTuple):
    """Output of the module for a batch.

    vector: (B, C), of the last level, for the classifier.  offsets: (B, A, 4).
    confidences: (B, A, 2), logits of background and forged area.
    """

    vector: Tensor
    offsets: Tensor
    confidences: Tensor


class ArtifactDetection(nn.Module):
    """Map backbone features to the outputs of 168 anchors (for a grid of 7).

    Args:
        channels: C of the features.
        width: channels of the module, set by one 1 x 1 convolution; 0: C.
    """

    def __init__(self, channels: int, width: int = 0) -> None:
        super().__init__()
        inner = width or channels
        reduced = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.reduce = reduced if width else nn.Identity()
        self.blocks = nn.ModuleList(
            [ResidualBlock(inner, 1), ResidualBlock(inner, 3), ResidualBlock(inner, 3)]
        )
        self.end = EndBlock(inner)
        self.expand = nn.Linear(inner, channels) if width else nn.Identity()
        extents = (3, 3, 3, 1)
        self.offsets = nn.ModuleList(_head(inner, 4, extent) for extent in extents)
        self.confidences = nn.ModuleList(_head(inner, CLASSES, extent) for extent in extents)

    def forward(self, features: Tensor) -> Detection:
        """Return the detection of features (B, C, h, w); smaller ones are enlarged to 7 x 7."""
        if features.shape[-1] < LEAST_GRID:
            features = F.interpolate(features, (LEAST_GRID, LEAST_GRID), mode="bilinear")
        levels = [self.reduce(features)]
        for block in self.blocks:
            levels.append(block(levels[-1]))
        last = F.adaptive_avg_pool2d(self.end(levels[-1]), 1)
        levels = [*levels[1:], last]
        return Detection(
            self.expand(last.flatten(1)),
            _over_anchors(self.offsets, levels, 4),
            _over_anchors(self.confidences, levels, CLASSES),
        )


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; ``extent`` 3 (unpadded) removes a border of cells."""

    def __init__(self, channels: int, extent: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, extent),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, channels, extent, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, h - extent + 1, w - extent + 1) of (B, C, h, w)."""
        return F.relu(self.main(features) + self.shortcut(features))


class EndBlock(nn.Module):
    """The step to the last level: convolutions without padding or normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3), nn.ReLU(), nn.Conv2d(channels, channels, 1)
        )
        self.shortcut = nn.Conv2d(channels, channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, h - 2, w - 2) of (B, C, h, w)."""
        return F.relu(self.main(features) + self.shortcut(features))


def _head(channels: int, values: int, extent: int) -> nn.Conv2d:
    return nn.Conv2d(channels, PER_CELL * values, extent, padding=extent // 2)


def _over_anchors(heads: nn.ModuleList, levels: list[Tensor], values: int) -> Tensor:
    """Return (B, A, values) in the order of the anchors."""
    found = [
        head(level).permute(0, 2, 3, 1).flatten(1)
        for head, level in zip(heads, levels, strict=True)
    ]
    return torch.cat(found, dim=1).unflatten(1, (-1, values))
