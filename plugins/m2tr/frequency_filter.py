"""A learnt filter of the frequencies of a feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.m2tr.patch_attention import feed_forward

SPREAD = 0.02  # standard deviation of the initial filter


class FrequencyFilter(nn.Module):
    """Multiplies every frequency of every channel by a learnt complex number; float32 throughout.

    Args:
        width: channels of the features.
        side: of the grid for which the filter is stored.
    """

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        # Real and imaginary part of the half of the spectrum that real features have.
        self.weight = nn.Parameter(SPREAD * torch.randn(2, width, side, side // 2 + 1))
        self.feed_forward = feed_forward(width)

    def filter(self, features: Tensor) -> Tensor:
        """Return filtered features, float32, in the shape of the features (B, C, H, W)."""
        height, width = features.shape[-2:]
        with torch.autocast(features.device.type, enabled=False):
            spectrum = torch.fft.rfft2(features.float(), norm="ortho")
            numbers = torch.complex(*self._fit(height, width // 2 + 1).float().unbind())
            filtered = spectrum * numbers
            return torch.fft.irfft2(filtered, s=(height, width), norm="ortho")

    def _fit(self, rows: int, columns: int) -> Tensor:
        """Return the filter, interpolated if the size of the spectrum is another."""
        if self.weight.shape[-2:] == (rows, columns):
            return self.weight
        size = (rows, columns)
        return F.interpolate(self.weight, size, mode="bilinear", align_corners=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features in the shape of the features (B, C, H, W)."""
        return features + self.feed_forward(self.filter(features))
