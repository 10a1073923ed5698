"""Bilinear attention pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pool(features: Tensor, attentions: Tensor) -> Tensor:
    """Return the attention-weighted means of features: (B, M, C), float32.

    Args:
        features: (B, C, H, W), or (B, M, C, H, W) with separate features for each attention.
        attentions: (B, M, h, w), at least 0; resized to H x W.
    """
    size = features.shape[-2:]
    weights = F.interpolate(attentions.float(), size, mode="bilinear", align_corners=True)
    weights = weights / weights.sum(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    own = "m" if features.ndim == 5 else ""
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum(f"bmhw,b{own}chw->bmc", weights, features.float())


def standardise(features: Tensor) -> Tensor:
    """Return features (B, C, h, w) as float32 of mean 0 and deviation 1 over each (h, w) plane."""
    features = features.float()
    centred = features - features.mean(dim=(2, 3), keepdim=True)
    return centred / (features.std(dim=(2, 3), keepdim=True) + 1e-8)
