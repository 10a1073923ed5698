"""The additive-margin softmax."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def am_softmax(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Return the additive-margin softmax: cross-entropy of s * (cos - m on the true class).

    Args:
        cosines: (B, 2) in [-1, 1].
        labels: int64 (B,).
        scale: s.
        margin: m.
    """
    return F.cross_entropy(scale * (cosines - margin * F.one_hot(labels, 2)), labels)
