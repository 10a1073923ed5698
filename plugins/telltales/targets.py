"""Training targets of the maps at the three levels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from plugins import resize_maps
from plugins.targets import MapMode, harden
from plugins.telltales.noise import noise_residual

NoiseEncoding = Literal["abs", "clip0", "signed"]


def mask_targets(
    maps: Tensor, size: torch.Size, mode: MapMode = "soft", threshold: float = 0.5
) -> Tensor:
    """Return the probabilities of forged and pristine, [m, 1 - m], at a level.

    Args:
        maps: (B, 1, H, W) in [0, 1].
        size: (h, w) of the level.
        mode: ``hard`` thresholds maps first; their borders are soft after resizing.
        threshold: of hard maps.

    Returns:
        (B, 2, h, w).
    """
    forged = resize_maps(harden(maps, threshold) if mode == "hard" else maps, size)
    forged = forged.clamp(0, 1)  # rounding can pass 1
    return torch.cat([forged, 1 - forged], dim=1)


def noise_label(
    images: Tensor, sigma: float, encoding: NoiseEncoding = "abs", gain: float = 1.0
) -> Tensor:
    """Return the noise of images as a label: (B, 1, H, W), gain times a share of 255.

    Args:
        images: float32 (B, 3, H, W), RGB in [0, 255].
        sigma: standard deviation of the noise in grey levels.
        encoding: of negative residuals: absolute value, set to 0, or kept.
        gain: factor of the label.
    """
    residual = noise_residual(images, sigma)
    if encoding == "abs":
        residual = residual.abs()
    elif encoding == "clip0":
        residual = residual.clamp_min(0)
    return residual * (gain / 255)
