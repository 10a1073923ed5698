"""The noise extractors of MoNFAP as experts, Sec. III-C: HFConv, SRMConv and CDConv.

The fourth, BayarConv, is :mod:`plugins.bayar`.

All map features (B, C, H, W) to noise features of the same shape, and initially respond with 0 to a
constant (CDConv with the share 1 - theta).
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from plugins import srm_kernels
from plugins.differences import first_differences

SrmLayout = Literal["intended", "code"]

SRM_CLAMP = 3.0


class HighFrequencyExpert(nn.Module):
    """HFConv: learnable first differences of each channel, mixed by a 1 x 1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.differences = first_differences(width)
        self.mix = nn.Conv2d(3 * width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return noise features, at least 0, of features (B, C, H, W)."""
        return F.relu(self.norm(self.mix(self.differences(features))))


class SteganalysisExpert(nn.Module):
    """SRMConv: three learnable residuals of the Spatial Rich Model, clamped to [-3, 3], mixed.

    Args:
        width: channels C.
        layout: ``intended`` gives every channel all three kernels; ``code`` gives the first third
            of the channels the first kernel three times, and so on, as the released code does.
    """

    def __init__(self, width: int, layout: SrmLayout = "intended") -> None:
        super().__init__()
        self.residuals = nn.Conv2d(width, 3 * width, 5, padding=2, groups=width, bias=False)
        self.mix = nn.Conv2d(3 * width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        kernels = srm_kernels(self.residuals.weight.device, self.residuals.weight.dtype)
        repeated = (
            kernels.repeat(width, 1, 1, 1)
            if layout == "intended"
            else kernels.repeat_interleave(width, dim=0)
        )
        self.residuals.weight.data.copy_(repeated)
        nn.init.kaiming_normal_(self.mix.weight, a=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return noise features, at least 0, of features (B, C, H, W)."""
        residuals = self.residuals(features).clamp(-SRM_CLAMP, SRM_CLAMP)
        return F.relu(self.norm(self.mix(residuals)))


class CentralDifferenceExpert(nn.Module):
    """CDConv: a 3 x 3 convolution minus theta times the centre weighted by all taps.

    Both terms are linear and share their weights, so they are one convolution with a reduced centre
    tap.
    """

    def __init__(self, width: int, theta: float = 0.7) -> None:
        super().__init__()
        self.theta = theta
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return central differences of features (B, C, H, W)."""
        weight = self.convolution.weight
        centre = F.pad(weight.sum(dim=(2, 3), keepdim=True), (1, 1, 1, 1))
        return F.conv2d(features, weight - self.theta * centre, padding=1)
