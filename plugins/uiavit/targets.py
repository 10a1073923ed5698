"""Target attention between patches, and its loss."""

from __future__ import annotations

import torch
from torch import Tensor

from plugins import REAL


def correlation_loss(attention: Tensor, forged: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Return L_corr: the distance of the attention between patches from its target.

    The mean over the real faces plus the mean over the fakes; without faces of a class its mean
    is 0.

    Args:
        attention: (B, N, N) in [0, 1].
        forged: bool (B, N), patches of fakes regarded as forged; False on real faces.
        labels: int64 (B,).
        centres: (3,): targets of mixed, forged and genuine pairs; the target of a real face's
            patch with itself is 1.
    """
    cross, inside, outside = centres
    first, second = forged[:, :, None], forged[:, None, :]
    target = torch.where(first & second, inside, torch.where(first | second, cross, outside))
    itself = torch.eye(forged.shape[1], dtype=torch.bool, device=forged.device)
    target = torch.where(itself & (labels == REAL)[:, None, None], 1, target)
    pairs = forged.shape[1] * (forged.shape[1] - 1)
    distances = (attention - target).abs().sum(dim=(1, 2)) / pairs  # (B,)
    real = labels == REAL
    means = (distances[kind].sum() / kind.sum().clamp_min(1) for kind in (real, ~real))
    return torch.stack(list(means)).sum()
