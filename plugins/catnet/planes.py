"""The binary planes of an image's cosine transform, from its pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
LARGEST = 20  # magnitudes from here on share a plane
PLANES = LARGEST + 1
LUMA = (0.299, 0.587, 0.114)  # BT.601, of red, green and blue


def luma_coefficients(colours: Tensor) -> Tensor:
    """Return the rounded cosine transform of each 8 x 8 block of the luma.

    Args:
        colours: float32 (B, 3, H, W), whole numbers from 0 to 255; H and W are multiples of 8.

    Returns:
        float32 (B, 1, H, W), whole numbers: every coefficient in the place of a pixel of its block.
    """
    weights = torch.tensor(LUMA, device=colours.device).view(1, 3, 1, 1)
    luma = (colours * weights).sum(dim=1, keepdim=True).round() - 128
    basis = _basis(colours.device)
    blocks = luma.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK)).transpose(3, 4)
    transformed = (basis @ blocks @ basis.mT).round()  # (B, 1, H / 8, W / 8, 8, 8)
    return transformed.transpose(3, 4).flatten(4, 5).flatten(2, 3)


def binary_planes(coefficients: Tensor) -> Tensor:
    """Return one plane for each magnitude: (B, 1, H, W) to float32 (B, 21, H, W) of 0 and 1."""
    magnitudes = torch.arange(PLANES, device=coefficients.device).view(1, PLANES, 1, 1)
    return (coefficients.abs().clamp(max=LARGEST) == magnitudes).float()


def blocks_to_cells(features: Tensor) -> Tensor:
    """Return features (B, C, H, W) with a channel for each place of a block.

    The result is (B, 64 C, H / 8, W / 8).
    """
    return F.pixel_unshuffle(features, BLOCK)


def _basis(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of 8 values as a matrix (8, 8)."""
    place = torch.arange(BLOCK, dtype=torch.float32, device=device)
    waves = torch.cos(math.pi / BLOCK * (place + 0.5) * place[:, None]) * math.sqrt(2 / BLOCK)
    return torch.cat([waves[:1] / math.sqrt(2), waves[1:]])
