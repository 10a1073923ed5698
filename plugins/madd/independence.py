"""The regional independence loss, and its running feature centres."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugins import REAL

CENTRE_MOMENTUM, CENTRE_DECAY = 0.05, 0.9
REAL_MARGIN, FAKE_MARGIN, CENTRE_MARGIN = 0.2, -0.8, 0.8


class RegionIndependence(nn.Module):
    """Keep the regional features V of real faces near running centres, and those of fakes away.

    max(|V - c| - 0.2, 0) of real faces and max(0.8 - |V - c|, 0) of fakes, the norm over all M
    attentions at once, plus the sum over pairs of centres of max(0.8 - |c_i - c_j|, 0) / (M alpha).
    alpha is the centres' momentum: the gradient of the last term reaches the features through a
    single update, alpha times the batch's mean, so that the division undoes the damping.
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
        """Return the loss of features (B, M, C) and labels (B,); update the centres in training."""
        momentum = CENTRE_MOMENTUM * CENTRE_DECAY ** (self.step // self.decay_steps)
        real = labels == REAL  # (B,)
        shift = ((features - self.centres) * real[:, None, None]).mean(dim=0)  # (M, C)
        centres = self.centres + momentum * shift
        margin = torch.where(real, REAL_MARGIN, FAKE_MARGIN)
        distance = torch.linalg.vector_norm(features - centres, dim=(1, 2))  # (B,)
        intra = (distance * margin.sign() - margin).clamp_min(0).mean()
        first, second = centres[self.pairs]  # (pairs, C) each
        inter = CENTRE_MARGIN - torch.linalg.vector_norm(first - second, dim=-1)
        if self.training:
            self.centres.copy_(centres.detach())
            self.step.add_(1)
        return intra + inter.clamp_min(0).sum() / (len(self.centres) * momentum)
