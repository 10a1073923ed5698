"""Views of a face besides its colours: tensor in, tensor of the same shape out.

All take images (B, 3, H, W), float in [0, 1], and are differentiable. A second branch sees one of
them after standardisation by the training set's statistics (methods: FoCus, Sec. III-C, Table V).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import kornia.filters
import torch
import torch.nn.functional as F
from torch import Tensor

DCT_BLOCK = 8
SRM_CLAMP = 3.0
"""Bound of SRM residuals, in grey levels."""


def rgb(images: Tensor) -> Tensor:
    """Return the images unchanged: the ablation with two RGB branches."""
    return images


def sobel(images: Tensor) -> Tensor:
    """Return the gradient magnitude of each channel, sqrt(gx^2 + gy^2 + 1e-6), within [0, 1]."""
    return kornia.filters.sobel(images, normalized=True, eps=1e-6)


def dct(images: Tensor) -> Tensor:
    """Return log(1 + |c|) of the 8 x 8 block cosine transform, each coefficient in its block.

    Coefficients are on the 0 to 255 scale, as in JPEG. Height and width must be multiples of 8.
    """
    batch, channels, height, width = images.shape
    basis = _dct_basis(images.device, images.dtype)
    planes = images.reshape(batch * channels, 1, height, width) * 255
    coefficients = F.conv2d(planes, basis, stride=DCT_BLOCK)  # (B * 3, 64, H / 8, W / 8)
    spread = F.pixel_shuffle(coefficients.abs().log1p(), DCT_BLOCK)
    return spread.reshape(images.shape)


def srm(images: Tensor) -> Tensor:
    """Return three noise residuals of the Spatial Rich Model, each over all channels.

    The kernels are the second-order 3 x 3, the 5 x 5 "KV" and the horizontal second-order one;
    residuals are on the 0 to 255 scale, clamped to [-3, 3].
    """
    kernels = srm_kernels(images.device, images.dtype)
    summed = images.sum(dim=1, keepdim=True) * 255
    return F.conv2d(F.pad(summed, (2, 2, 2, 2), mode="replicate"), kernels).clamp(
        -SRM_CLAMP, SRM_CLAMP
    )


MODALITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "rgb": rgb,
    "sobel": sobel,
    "dct": dct,
    "srm": srm,
}


@cache
def _dct_basis(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the orthonormal DCT-II of an 8 x 8 block as convolution kernels (64, 1, 8, 8)."""
    place = torch.arange(DCT_BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi / DCT_BLOCK * (place + 0.5)[None] * place[:, None])
    waves *= math.sqrt(2 / DCT_BLOCK)
    waves[0] /= math.sqrt(2)
    basis = torch.einsum("uy,vx->uvyx", waves, waves)
    return basis.reshape(-1, 1, DCT_BLOCK, DCT_BLOCK).to(device, dtype)


@cache
def srm_kernels(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the three kernels of :func:`srm`, padded to 5 x 5: (3, 1, 5, 5)."""
    second = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    upper = torch.tensor([[-1.0, 2, -2, 2, -1], [2, -6, 8, -6, 2]])
    kv = torch.cat([upper, torch.tensor([[-2.0, 8, -12, 8, -2]]), upper.flip(0)]) / 12
    line = torch.zeros(5, 5)
    line[2, 1:4] = torch.tensor([1.0, -2, 1]) / 2
    return torch.stack([F.pad(second, (1, 1, 1, 1)), kv, line])[:, None].to(device, dtype)
