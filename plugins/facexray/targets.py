"""The boundary of a map, and the area inside a boundary."""

from __future__ import annotations

import math

import torch
from kornia.filters import gaussian_blur2d
from scipy.ndimage import binary_fill_holes
from torch import Tensor

SIDES_PER_SIGMA = 64
LEVEL = 1 / 255  # distance from 0 and 1 that counts as between
ROWS = 4  # of pixels between 0 and 1, at most, in a map that counts as binary


def boundary(maps: Tensor) -> Tensor:
    """Return B = 4 m (1 - m) of maps (B, 1, H, W) in [0, 1], those without a soft edge blurred."""
    sigma = maps.shape[-1] / SIDES_PER_SIGMA
    side = 2 * math.ceil(3 * sigma) + 1
    blurred = gaussian_blur2d(maps, (side, side), (sigma, sigma), border_type="replicate")
    between = ((maps > LEVEL) & (maps < 1 - LEVEL)).float().mean(dim=(1, 2, 3), keepdim=True)
    soft = torch.where(between * maps.shape[-2] <= ROWS, blurred, maps)
    return (4 * soft * (1 - soft)).clamp(0, 1)  # rounding can pass 1


def fill(xrays: Tensor, threshold: float = 0.5) -> Tensor:
    """Return 1 where an X-ray (B, 1, H, W) is above the threshold and inside, else 0; same dtype.

    On the CPU, where connected areas are filled by SciPy.
    """
    walls = (xrays > threshold).cpu().numpy()
    areas = [torch.from_numpy(binary_fill_holes(wall[0])) for wall in walls]
    return torch.stack(areas)[:, None].to(xrays)
