"""The texture feature enhancement block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextureEnhancement(nn.Module):
    """A shallow level minus its local mean, refined once per attention."""

    def __init__(self, channels: int, attentions: int) -> None:
        super().__init__()
        self.attentions = attentions
        width = channels * attentions
        self.extract = nn.Conv2d(channels, channels, 3, padding=1)
        self.first = nn.Conv2d(width, width, 5, padding=2, groups=attentions)
        self.dense = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(depth * width),
                nn.ReLU(),
                nn.Conv2d(depth * width, width, 3, padding=1, groups=attentions),
            )
            for depth in (1, 2, 3)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.Conv2d(4 * width, width, 1, groups=attentions),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, level: Tensor, attentions: Tensor) -> tuple[Tensor, Tensor]:
        """Return texture (B, M, C, H, W) and local means (B, C, h, w).

        Args:
            level: a shallow level (B, C, H, W).
            attentions: (B, M, h, w); they weight the texture, without a gradient.
        """
        features = self.extract(level)
        height, width = attentions.shape[-2:]
        smooth = F.adaptive_avg_pool2d(features, (height, width))
        residual = features - F.interpolate(smooth, features.shape[-2:], mode="nearest")
        weights = F.interpolate(
            attentions.detach(), features.shape[-2:], mode="bilinear", align_corners=True
        )
        weighted = residual[:, None] * weights.to(residual.dtype).tanh()[:, :, None]
        seen = self.first(weighted.flatten(1, 2))
        for layer in self.dense:
            seen = self._join(seen, layer(seen))
        return self.last(seen).unflatten(1, (self.attentions, -1)), smooth

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        """Concatenate channels within each attention's group."""
        groups = [values.unflatten(1, (self.attentions, -1)) for values in (first, second)]
        return torch.cat(groups, dim=2).flatten(1, 2)
