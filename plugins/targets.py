"""Training targets from manipulation maps: pure functions.

Maps are float (..., H, W) in [0, 1], 1 = manipulated, and exactly 0 on real faces. An empty map of
a fake is used as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from focus.config import check_choices, check_options

MapMode = Literal["hard", "soft"]


@dataclass(frozen=True)
class MapConfig:
    """Base of the configuration of a detector whose targets are hard or soft maps."""

    map_mode: MapMode = "hard"
    """hard: threshold maps; soft: use their values."""
    map_threshold: float = 0.5
    """Threshold of hard maps."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_options(self, "map_threshold", above=0, most=1)

    def read_maps(self, maps: Tensor) -> Tensor:
        """Return the maps as targets: thresholded if hard, else unchanged."""
        return harden(maps, self.map_threshold) if self.map_mode == "hard" else maps

    def class_probabilities(self, maps: Tensor) -> Tensor:
        """Return the probabilities of real and fake, see :func:`class_probabilities`."""
        return class_probabilities(maps, self.map_mode, self.map_threshold)


def harden(maps: Tensor, threshold: float = 0.5) -> Tensor:
    """Return 1 where a map reaches the threshold, else 0, in the shape and dtype of the maps."""
    return (maps >= threshold).to(maps.dtype)


def area_average(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Return the mean of each cell of a coarser grid: (..., H, W) to (..., h, w).

    Unlike point sampling it keeps the mass of thin structures. Where h does not divide H,
    neighbouring cells share the row between them; a map smaller than the grid is repeated.
    """
    height, width = (size, size) if isinstance(size, int) else size
    planes = maps.reshape(-1, *maps.shape[-2:])
    return F.adaptive_avg_pool2d(planes, (height, width)).view(*maps.shape[:-2], height, width)


def edges(maps: Tensor, width: int) -> Tensor:
    """Return the edges of binary maps (B, 1, H, W): dilation minus erosion, in the same shape.

    The border of the image is not an edge.

    Args:
        maps: 0 or 1.
        width: side of the square element in pixels, odd; 1 gives no edges. The edge of a half-plane
            is ``width - 1`` pixels wide.
    """
    dilated, eroded = (F.max_pool2d(m, width, 1, width // 2) for m in (maps, -maps))
    return dilated + eroded


def consistency_volume(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Return V[i, j] = 1 - |m_i - m_j| for every two cells of a grid (PCL).

    Maps (B, 1, H, W) give (B, h, w, h, w) in [0, 1]: symmetric, 1 on its diagonal, 1 everywhere for
    a map that is the same everywhere. The map and its complement give the same volume.
    """
    cells = area_average(maps, size)[:, 0]  # (B, h, w)
    return 1 - (cells[:, :, :, None, None] - cells[:, None, None]).abs()


def class_probabilities(maps: Tensor, mode: MapMode = "hard", threshold: float = 0.5) -> Tensor:
    """Return the probabilities of real and fake at each pixel: (B, 1, H, W) to (B, 2, H, W).

    ``soft`` gives [1 - m, m]; ``hard`` thresholds the map first.
    """
    fake = harden(maps, threshold) if mode == "hard" else maps
    return torch.cat([1 - fake, fake], dim=1)


def pixel_cross_entropy(
    logits: Tensor,
    maps: Tensor,
    mode: MapMode = "hard",
    threshold: float = 0.5,
    valid: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy over the pixels of a batch, at the size of the maps.

    Args:
        logits: of real and fake, (B, 2, h, w), resized bilinearly to (H, W) in float32.
        maps: (B, 1, H, W).
        mode: see :func:`class_probabilities`.
        threshold: of hard maps.
        valid: bool, to be broadcast to (B, 1, H, W): which pixels count; None counts all. If
            no pixel counts, the mean is 0.
    """
    logits = F.interpolate(logits.float(), maps.shape[-2:], mode="bilinear", align_corners=False)
    truth = class_probabilities(maps, mode, threshold)
    losses = F.cross_entropy(logits, truth, reduction="none")  # (B, H, W)
    if valid is None:
        return losses.mean()
    counted = valid.expand_as(maps)[:, 0]
    return losses.masked_fill(~counted, 0).sum() / counted.sum().clamp_min(1)
