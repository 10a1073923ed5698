"""Counting: how many pixels of each map stand at each level, inside and outside of the truth.

A face is reduced to two histograms, so that memory does not grow with the number of pixels and
every threshold is judged at once. Maps are counted at the size of the mask: resized bilinearly
(half-pixel centres), then held at the 256 levels of a map file. A batch of faces is counted at
once, on any device, and the counts are the same on all of them.
"""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from evaluator.metrics.ranking import auc

LEVELS = 256
HALF = 128  # the first level that stands for values above 0.5
# A resized uint8 map holds multiples of 1 / (4 H W), which float64 misses by less than this: what
# lies so little above a half is a half.
_ROUNDING = 1e-9
# Pixels at once: on a CPU what its caches hold, on a GPU what keeps it busy in half a GiB.
_CPU_PIXELS, _GPU_PIXELS = 2**19, 2**24


class Histograms(NamedTuple):
    """What is kept of N faces' maps and masks: 2 kB a face, 2 GB a million."""

    inside: np.ndarray  # uint32 (N, 256): pixels of the mask at each level
    outside: np.ndarray  # uint32 (N, 256): the other pixels
    region_auc: np.ndarray  # float64 (N,): AUC over the region; NaN without one, or with one class

    @classmethod
    def empty(cls, faces: int) -> Histograms:
        """Return room for ``faces`` faces, to be filled with :meth:`put`."""
        inside, outside = np.zeros((2, faces, LEVELS), dtype=np.uint32)
        return cls(inside, outside, np.full(faces, np.nan))

    def put(self, rows: np.ndarray, faces: Histograms) -> None:
        """Write some faces into their rows."""
        for column, values in zip(self, faces, strict=True):
            column[rows] = values

    def take(self, rows: np.ndarray) -> Histograms:
        """Return some of the faces; of bool that are all True, the same without a copy."""
        if rows.dtype == bool and rows.all():
            return self
        return Histograms(self.inside[rows], self.outside[rows], self.region_auc[rows])


def resize_levels(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly and hold them at 256 levels.

    Exact for uint8 maps: computed in float64, where a half is told from its neighbours, so that
    every device rounds alike.

    Args:
        maps: (B, h, w), float in [0, 1], or uint8 in [0, 255] as a map file stores them.
        size: (height, width) of the result.

    Returns:
        uint8 (B, height, width): 255 times the map, to the nearest level; a half goes down, so that
        level 128 and above is exactly what lies above 0.5.
    """
    stored = maps.dtype == torch.uint8
    if stored and maps.shape[1:] == size:
        return maps
    # In the map's own precision, in which 255 * (level / 255) is the level again.
    values = (maps if stored else maps.clamp(0, 1) * (LEVELS - 1)).double()
    values = values + (0.5 - _ROUNDING)  # so that cutting off rounds: cheaper before enlarging
    if maps.shape[1:] != size:
        values = interpolate(values[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return values.to(torch.uint8)


def count_levels(maps: Tensor, masks: Tensor, regions: Tensor | None = None) -> Histograms:
    """Count the levels of maps inside and outside of the truth, at the truth's size.

    Args:
        maps: (B, h, w), float in [0, 1] or uint8 in [0, 255]; 1 or 255 = manipulated.
        masks: bool (B, H, W), the truth; all False for a real face.
        regions: bool (B, H, W), the areas that are judged by themselves too. All on one device.

    Returns:
        The histograms of the B faces, on the CPU.

    Raises:
        ValueError: as many maps as masks are needed, and regions of the masks' size.
    """
    if regions is not None and regions.shape != masks.shape:
        sizes = (" x ".join(map(str, part.shape)) for part in (regions, masks))
        raise ValueError("the regions are {}, the masks {}".format(*sizes))
    if len(maps) != len(masks):
        raise ValueError(f"{len(maps)} maps, {len(masks)} masks")
    pixels = _CPU_PIXELS if masks.device.type == "cpu" else _GPU_PIXELS
    sides = maps.shape[1:].numel(), masks.shape[1:].numel(), 4 * LEVELS
    step = max(1, pixels // max(sides))
    areas = repeat(None) if regions is None else regions.split(step)
    parts = zip(maps.split(step), masks.split(step), areas, strict=False)
    counts = torch.cat([_count(*part) for part in parts]).cpu().numpy()
    outside, inside = counts.sum(axis=1).swapaxes(0, 1).astype(np.uint32)
    if regions is None:
        return Histograms(inside, outside, np.full(len(maps), np.nan))
    return Histograms(inside, outside, auc(counts[:, 1, 1], counts[:, 1, 0]))


def _count(maps: Tensor, masks: Tensor, regions: Tensor | None) -> Tensor:
    """Return the pixels of every face by region, mask and level, int64 (B, 1 or 2, 2, 256)."""
    kinds = 2 if regions is None else 4
    codes = masks.int()
    if regions is not None:
        codes += 2 * regions.int()
    faces = torch.arange(len(maps), dtype=torch.int32, device=maps.device)
    codes += kinds * faces[:, None, None]
    codes *= LEVELS
    codes += resize_levels(maps, (masks.shape[1], masks.shape[2]))
    # Of integers without weights: deterministic on CUDA as well, and fast on one CPU thread.
    counts = torch.bincount(codes.flatten(), minlength=len(maps) * kinds * LEVELS)
    return counts.reshape(len(maps), kinds // 2, 2, LEVELS)
