"""The mixture of noise experts (MoNE) of one feature level, and its importance loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.bayar import BayarConv
from plugins.monfap.noise_experts import (
    CentralDifferenceExpert,
    HighFrequencyExpert,
    SrmLayout,
    SteganalysisExpert,
)

EXPERTS = 4


class NoiseGate(nn.Module):
    """G of Eq. 7 and 11: the weight of each expert for an image, from its mean feature.

    Args:
        width: channels of the features.
        kept: number of experts with a weight; the others get exactly 0.
    """

    def __init__(self, width: int, kept: int = EXPERTS) -> None:
        super().__init__()
        self.kept = kept
        self.weigh = nn.Linear(width, EXPERTS)
        self.spread = nn.Linear(width, EXPERTS, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return weights (B, 4), float32, of sum 1, of features (B, C, H, W).

        In training, normal noise of a learned deviation is added before the softmax.
        """
        with torch.autocast(features.device.type, enabled=False):
            mean = features.float().mean(dim=(2, 3))
            logits = self.weigh(mean)
            if self.training:
                deviation = F.softplus(self.spread(mean) + 0.01)  # the offset: released code only
                logits = logits + torch.randn_like(logits) * deviation
            if self.kept < EXPERTS:
                lowest = logits.topk(self.kept, dim=1).values[:, -1:]
                logits = logits.masked_fill(logits < lowest, -torch.inf)
            return logits.softmax(dim=1)


class NoiseMixture(nn.Module):
    """MoNE, Eq. 10: experts weighted by the gate, plus a shared convolution; no identity path.

    Every expert processes every image, whatever the gate keeps, so that batch statistics are those
    of the whole batch.
    """

    def __init__(self, width: int, kept: int = EXPERTS, layout: SrmLayout = "intended") -> None:
        super().__init__()
        self.gate = NoiseGate(width, kept)
        self.experts = nn.ModuleList(
            [
                CentralDifferenceExpert(width),
                BayarConv(width, width),
                SteganalysisExpert(width, layout),
                HighFrequencyExpert(width),
            ]
        )
        self.shared = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return noise features (B, C, H, W) and the gate's weights (B, 4) of features."""
        gates = self.gate(features)
        mixed = self.shared(features)
        for place, expert in enumerate(self.experts):
            mixed = mixed + gates[:, place, None, None, None] * expert(features)
        return mixed, gates


def importance_loss(gates: Tensor) -> Tensor:
    """Return the squared coefficient of variation of the experts' weights (B, 4), Eq. 12.

    The weights are summed over the images of this process; 0 if all experts have equal weight.
    """
    importance = gates.float().sum(dim=0)
    return importance.var() / (importance.mean().square() + 1e-10)
