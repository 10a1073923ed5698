"""Attention-guided data augmentation (AGDA)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

DROP_THRESHOLD, DROP_SLOPE = (0.4, 0.6), (3.0, 5.0)
DROP_KERNEL, DROP_SIGMA, DROP_NOISE = 11, 7.0, 0.1


@torch.no_grad()
def draw_attention(attentions: Tensor) -> Tensor:
    """Choose a random attention for each face, int64 (B,); larger sums are more likely.

    Args:
        attentions: (B, M, h, w), at least 0; probabilities are proportional to sqrt(sum + 1).
    """
    weights = (attentions.float().sum(dim=(2, 3)) + 1).sqrt()  # (B, M)
    return torch.multinomial(weights, 1)[:, 0]


@torch.no_grad()
def drop_attended(images: Tensor, attention: Tensor) -> Tensor:
    """Return images blurred and noised where one attention is high (AGDA).

    Args:
        images: standardised (B, 3, H, W).
        attention: (B, 1, h, w), at least 0; pixels at 0 are unchanged.
    """
    size = images.shape[-2:]
    threshold = images.new_empty(len(images), 1, 1, 1).uniform_(*DROP_THRESHOLD)
    slope = torch.empty_like(threshold).uniform_(*DROP_SLOPE)
    attention = F.interpolate(attention.float(), size, mode="bilinear", align_corners=True)
    attention = attention / attention.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    low = torch.sigmoid(-threshold * slope)
    weight = (torch.sigmoid((attention - threshold) * slope) - low) / (1 - low)
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=True)
    with torch.autocast(images.device.type, enabled=False):
        small = gaussian_blur2d(small, (DROP_KERNEL, DROP_KERNEL), (DROP_SIGMA, DROP_SIGMA))
    small = small + DROP_NOISE * torch.randn_like(small)
    large = F.interpolate(small, size, mode="bilinear", align_corners=True)
    return torch.lerp(images, large, weight)
