"""BayarConv: a convolution that learns to predict each pixel and keeps the error."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 1e-3
CENTRE = 12  # of the 25 taps of a 5 x 5 kernel


class BayarConv(nn.Module):
    """BayarConv: 5 x 5 prediction errors; the taps around a centre of -1 sum to 1.

    Bayar and Stamm, IEEE TIFS 2018. The constraint is part of the forward pass, so gradients
    include it and stored weights are not overwritten. In float32 also under autocast: the errors
    are small differences of large numbers.

    Args:
        width_in: channels of the features.
        width_out: channels of the errors.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        taps = torch.rand(width_out, width_in, 24)
        self.taps = nn.Parameter(taps / taps.sum(dim=-1, keepdim=True))

    def kernels(self) -> Tensor:
        """Return the constrained kernels, float32 (width_out, width_in, 5, 5).

        The magnitude of a sum is at least 0.001, so that taps stay bounded.
        """
        taps = self.taps.float()
        total = taps.sum(dim=-1, keepdim=True)
        floor = torch.where(total < 0, -FLOOR, FLOOR)
        taps = taps / torch.where(total.abs() < FLOOR, floor, total)
        centre = taps.new_full((*taps.shape[:2], 1), -1.0)
        flat = torch.cat([taps[..., :CENTRE], centre, taps[..., CENTRE:]], dim=-1)
        return flat.unflatten(-1, (5, 5))

    def forward(self, features: Tensor) -> Tensor:
        """Return prediction errors, float32, of features (B, width_in, H, W)."""
        with torch.autocast(features.device.type, enabled=False):
            return F.conv2d(features.float(), self.kernels(), padding=2)
