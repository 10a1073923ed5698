"""Loss functions that several detectors share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cosines(features: Tensor, weights: Tensor) -> Tensor:
    """Return the cosines of features (B, D) with class weights (K, D): float32 (B, K)."""
    with torch.autocast(features.device.type, enabled=False):
        return F.linear(F.normalize(features.float(), dim=1), F.normalize(weights, dim=1))


def am_softmax(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Return the additive-margin softmax: cross-entropy of s * (cos - m on the true class).

    Args:
        cosines: (B, 2) in [-1, 1].
        labels: int64 (B,).
        scale: s.
        margin: m.
    """
    return F.cross_entropy(scale * (cosines - margin * F.one_hot(labels, 2)), labels)


def dice_losses(found: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - (2 sum(p t) + 1) / (sum(p^2) + sum(t^2) + 1) of each image.

    Args:
        found: p, probabilities in [0, 1], (B, ...).
        truth: t in [0, 1], in the same shape.

    Returns:
        float32 (B,) in [0, 1): 0 where both are equal, and near 1 where they do not overlap. With
        an empty truth it depends on the size of the map: an area of A pixels costs A / (A + 1).
    """
    found, truth = found.float().flatten(1), truth.float().flatten(1)
    overlap = 2 * (found * truth).sum(dim=1) + 1
    return 1 - overlap / (found.square().sum(dim=1) + truth.square().sum(dim=1) + 1)
