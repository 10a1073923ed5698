"""Residual-guided spatial attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugins import srm


class ResidualAttention(nn.Module):
    """Spatial attention from the residuals, filtered a second time.

    Two convolutions, the mean and the maximum over channels, a 7 x 7 convolution and a sigmoid.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.merge = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, residual: Tensor) -> Tensor:
        """Return attention (B, 1, h, w) in (0, 1) of residuals (B, 3, H, W)."""
        with torch.autocast(residual.device.type, enabled=False):
            again = srm(residual.float() / 255)  # which multiplies by 255
        features = self.layers(again)
        mean, most = features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)
        return self.merge(torch.cat([mean, most], dim=1)).sigmoid()
