"""The edge target of MVSS-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from plugins.targets import edges, harden

REFERENCE_SIZE = 512


def edge_target(maps: Tensor, size: torch.Size, width: float, threshold: float = 0.5) -> Tensor:
    """Return 1 in every cell that an edge of the map touches, else 0.

    Args:
        maps: (B, 1, H, W) in [0, 1].
        size: (h, w) of the grid.
        width: of dilation and erosion, in pixels of an image 512 pixels wide. In proportion for
            other sizes: an odd number, at least 3.
        threshold: of the map.

    Returns:
        (B, 1, h, w).
    """
    pixels = width * maps.shape[-1] / REFERENCE_SIZE
    odd = max(3, 2 * round((pixels - 1) / 2) + 1)
    return F.adaptive_max_pool2d(edges(harden(maps, threshold), odd), tuple(size))
