"""The regional independence loss, and the feature centres that it keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugins import REAL

CENTRE_MOMENTUM, CENTRE_DECAY = 0.05, 0.9
REAL_MARGIN, FAKE_MARGIN, CENTRE_MARGIN = 0.2, -0.8, 0.8


class RegionIndependence(nn.Module):
    """Regional features of real faces close to running centres, those of fakes and of others far.

    max(|V - c| - 0.2, 0) of real faces, max(0.8 - |V - c|, 0) of fakes, both summed over the
    attentions, and max(0.8 - |c_i - c_j|, 0) summed over the pairs of centres.
    """

    centres: Tensor
    step: Tensor
    pairs: Tensor

    def __init__(self, attentions: int, channels: int, decay_steps: int) -> None:
        super().__init__()
        self.decay_steps = decay_steps
        self.register_buffer("centres", torch.zeros(attentions, channels))
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        pairs = torch.triu_indices(attentions, attentions, offset=1)
        self.register_buffer("pairs", pairs, persistent=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of features (B, M, C) and labels (B,); move the centres in training."""
        real = labels == REAL  # (B,)
        mean = (features * real[:, None, None]).sum(dim=0) / real.sum().clamp_min(1)  # (M, C)
        centres = self._move(mean.detach(), real.any())
        margin = torch.where(real, REAL_MARGIN, FAKE_MARGIN)[:, None]
        distance = torch.linalg.vector_norm(features - centres, dim=-1)  # (B, M)
        intra = (distance * margin.sign() - margin).clamp_min(0).sum(dim=1).mean()
        first, second = (centres + mean - mean.detach())[self.pairs]  # (pairs, C) each
        inter = CENTRE_MARGIN - torch.linalg.vector_norm(first - second, dim=-1)
        return intra + inter.clamp_min(0).sum()

    @torch.no_grad()
    def _move(self, mean: Tensor, any_real: Tensor) -> Tensor:
        """Return the centres moved towards the mean, and keep them in training."""
        momentum = CENTRE_MOMENTUM * CENTRE_DECAY ** (self.step // self.decay_steps)
        centres = self.centres + momentum * any_real * (mean - self.centres)
        if self.training:
            self.centres.copy_(centres)
            self.step.add_(1)
        return centres
