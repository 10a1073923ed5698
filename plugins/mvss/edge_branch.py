"""The edge branch: gated Sobel edges of every level, joined from shallow to deep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SobelGate(nn.Module):
    """Weights features by the sigmoid of the gradient magnitude of their sum over channels."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])
        self.register_buffer("kernels", torch.stack([rows, rows.T])[:, None], persistent=False)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, features: Tensor) -> Tensor:
        """Return gated features in the shape of the features (B, C, H, W)."""
        with torch.autocast(features.device.type, enabled=False):
            summed = features.float().sum(dim=1, keepdim=True)
            padded = F.pad(summed, (1, 1, 1, 1), mode="replicate")
            gradients = self.norm(F.conv2d(padded, self.kernels))
            magnitude = (gradients.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()
            return features * magnitude.sigmoid()


class EdgeBlock(nn.Module):
    """A 1 x 1 convolution to one channel, and a residual of two 3 x 3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, 1, 1)
        self.residual = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
            nn.ReLU(),
            nn.Conv2d(1, 1, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 1, H, W) of features (B, C, H, W)."""
        projected = self.project(features)
        return projected + self.residual(projected)


class EdgeBranch(nn.Module):
    """Edges of a manipulation from features of several levels.

    Args:
        widths: channels of the levels, shallow to deep.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.gates = nn.ModuleList(SobelGate() for _ in widths)
        self.blocks = nn.ModuleList(EdgeBlock(width) for width in widths)
        self.joins = nn.ModuleList(EdgeBlock(1) for _ in widths[1:])

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return edge logits (B, 1, h, w) at the size of the first of the levels (B, C, h, w)."""
        parts = [
            block(gate(level))
            for level, gate, block in zip(levels, self.gates, self.blocks, strict=True)
        ]
        edges = parts[0]
        for part, join in zip(parts[1:], self.joins, strict=True):
            enlarged = F.interpolate(part, edges.shape[-2:], mode="bilinear", align_corners=False)
            edges = join(edges + enlarged)
        return edges
