"""Local boxes: the window of a random size with the largest sum of a map."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from plugins.caddm.anchors import REFERENCE

WINDOWS = ((40, 80), (80, 40), (80, 120), (120, 80), (120, 160), (160, 120))
"""Heights and widths in pixels at 224: the shapes of the anchors."""
FLOOR = 0.1
_LEAST_AREA = 40 * 40
_LEAST_CONTRAST = 1.5
_LEVELS = 4096
_TIE = 1e-3


class Windows(NamedTuple):
    """boxes: float32 (B, 4), left, top, right, bottom in pixels.  means: (B,), of the map."""

    boxes: Tensor
    means: Tensor


def draw_local_boxes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return a local box (B, 4) for each map (B, 1, H, W), and whether it is valid, bool (B,).

    It is invalid if less than 1600 pixels (at 224) are above 0.1, or if the window's mean is below
    1.5 times the whole map's: the face is then forged all over, or the map is uninformative.
    """
    windows = draw_windows(maps, WINDOWS)
    contrast = windows.means >= _LEAST_CONTRAST * maps.float().mean(dim=(1, 2, 3))
    return windows.boxes, contrast & has_mass(maps, FLOOR)


def has_mass(maps: Tensor, floor: float) -> Tensor:
    """Return whether 1600 pixels (at 224) of each map (B, 1, H, W) exceed a floor, bool (B,)."""
    least = _LEAST_AREA * (maps.shape[-1] / REFERENCE) ** 2
    return (maps > floor).flatten(1).sum(dim=1) >= least


def draw_windows(maps: Tensor, sizes: tuple[tuple[int, int], ...]) -> Windows:
    """Return the window with the largest sum, of a random size, for each map.

    Positions whose sums agree to a thousandth are chosen from at random.

    Args:
        maps: (B, 1, H, W) in [0, 1].
        sizes: heights and widths in pixels at 224.
    """
    # Integers: the sums are exact, and a cumulative sum of floats is not reproducible on CUDA.
    levels = (maps[:, 0].float() * _LEVELS).round().long()
    integral = F.pad(levels.cumsum(dim=1).cumsum(dim=2), (1, 0, 1, 0))
    scale = maps.shape[-1] / REFERENCE
    found = [
        _best_window(integral, max(round(height * scale), 1), max(round(width * scale), 1))
        for height, width in sizes
    ]
    count = maps.shape[0]
    chosen = torch.randint(len(sizes), (count,), device=maps.device)
    every = torch.arange(count, device=maps.device)
    boxes = torch.stack([window.boxes for window in found])[chosen, every]
    return Windows(boxes, torch.stack([window.means for window in found])[chosen, every])


def _best_window(integral: Tensor, height: int, width: int) -> Windows:
    """Return the best windows of one size in integral maps (B, H + 1, W + 1)."""
    bands = integral[:, height:] - integral[:, :-height]
    sums = (bands[:, :, width:] - bands[:, :, :-width]).float()
    preferred = sums * (1 - _TIE * torch.rand_like(sums))
    place = preferred.flatten(1).argmax(dim=1)
    top, left = place // sums.shape[2], place % sums.shape[2]
    boxes = torch.stack([left, top, left + width, top + height], dim=1).float()
    best = sums.flatten(1).gather(1, place[:, None])[:, 0]
    return Windows(boxes, best / (_LEVELS * height * width))
