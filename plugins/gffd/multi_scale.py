"""Multi-scale high-frequency feature extraction: SRM residuals of feature maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins import SRM_CLAMP, srm_kernels


class FeatureResidual(nn.Module):
    """The three SRM residuals of every channel, merged to the number of input channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(
            nn.Conv2d(3 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, h, w) of features (B, C, h, w)."""
        return self.merge(channel_residuals(features))


def channel_residuals(features: Tensor) -> Tensor:
    """Return SRM residuals (B, 3 C, h, w), three per channel in turn, of features (B, C, h, w)."""
    features = features.float()  # in bfloat16 the kernels would no longer sum to 0
    channels = features.shape[1]
    kernels = srm_kernels(features.device, features.dtype).repeat(channels, 1, 1, 1)
    padded = F.pad(features, (2, 2, 2, 2), mode="replicate")
    with torch.autocast(features.device.type, enabled=False):
        return F.conv2d(padded, kernels, groups=channels).clamp(-SRM_CLAMP, SRM_CLAMP)
