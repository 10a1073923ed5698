"""Attention between patches of several sizes, one size for each head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4  # patches of the whole grid, a half, a quarter and an eighth of its side
SLOPE = 0.2


def convolve(width_in: int, width_out: int, side: int = 3, dilation: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, batch norm and LeakyReLU."""
    padding = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, side, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(width_out),
        nn.LeakyReLU(SLOPE),
    )


def feed_forward(width: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions, the first with dilation 2."""
    return nn.Sequential(convolve(width, width, dilation=2), convolve(width, width))


def attend_patches(query: Tensor, key: Tensor, value: Tensor, side: int) -> Tensor:
    """Return values (B, C, H, W) attended between square patches; a token is a whole patch.

    Args:
        query: (B, C, H, W).
        key: (B, C, H, W).
        value: (B, C, H, W).
        side: of a patch in cells; divides H and W. With one patch the values are unchanged.
    """
    rows = value.shape[-2] // side
    query, key, cut = (_cut(features, side) for features in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, cut)[:, 0]  # scale: of a token's length
    patches = attended.unflatten(2, (value.shape[1], side, side))
    return patches.unflatten(1, (rows, -1)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _cut(features: Tensor, side: int) -> Tensor:
    """Return features (B, C, H, W) as tokens (B, 1, patches, C * side * side)."""
    height, width = features.shape[-2:]
    split = features.unflatten(3, (width // side, side)).unflatten(2, (height // side, side))
    return split.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)[:, None]


class PatchAttention(nn.Module):
    """Multi-scale attention between patches, and a feed-forward part, both with residuals.

    Args:
        width: channels of the features, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        # A bias would add the same to all keys of a query, which the softmax removes.
        self.key = nn.Conv2d(width, width, 1, bias=False)
        self.value = nn.Conv2d(width, width, 1)
        self.out = convolve(width, width)
        self.feed_forward = feed_forward(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features in the shape of the features (B, C, H, W); H = W, a multiple of 8."""
        parts = [part(features).chunk(HEADS, dim=1) for part in (self.query, self.key, self.value)]
        side = features.shape[-1]
        heads = [
            attend_patches(query, key, value, side // 2**head)
            for head, (query, key, value) in enumerate(zip(*parts, strict=True))
        ]
        attended = features + self.out(torch.cat(heads, dim=1))
        return attended + self.feed_forward(attended)
