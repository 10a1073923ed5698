"""Counting: the number of pixels of each map at each level, inside and outside of the truth.

A face is reduced to two histograms, so that memory does not grow with the number of pixels and
every threshold is judged at once. Maps are counted at the size of the mask: resized bilinearly
(half-pixel centres), then held at 512 levels: above 0.06 the steps of 1 / 255 of an 8-bit map,
below that sixteen to an octave down to 4e-7, so that maps times a small score keep their ranking. A
batch of faces is counted at once, on any device, and the counts are the same on all of them.
"""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from evaluator.metrics.ranking import auc, divide

LEVELS = 512
_WHITE = 255  # of an 8-bit map
_LINEAR = 16  # the first 8-bit level with a level to itself; those below share finer ones
_FINE = LEVELS - (_WHITE - _LINEAR + 1)  # the finer levels, 0 included
# A resized uint8 map holds multiples of 1 / (4 H W), which float64 misses by less than this: what
# lies so little above a half is a half.
_ROUNDING = 1e-9
_OCTAVE = 19  # bits of a float32 that do not count: four bits of the mantissa do
_TOP_BITS = int(np.float32(_LINEAR - 0.5).view(np.int32))
# Pixels at once: on a CPU what its caches hold, on a GPU what keeps it busy in half a GiB.
_CPU_PIXELS, _GPU_PIXELS = 2**19, 2**24


def level_of(value: float) -> int:
    """Return the first level of which all values are above ``value``, in [0, 1]."""
    return int(_find_levels(torch.tensor([value * _WHITE], dtype=torch.float64))[0]) + 1


def _list_edges() -> np.ndarray:
    """Return the value above which each level lies, float64 (512,) in [0, 1]; -1 for level 0."""
    bits = _TOP_BITS - (np.arange(_FINE - 1, 0, -1, dtype=np.int32) << _OCTAVE)
    fine = bits.view(np.float32).astype(np.float64)
    fine[0] = 0
    return np.concatenate([[-_WHITE], fine, np.arange(_LINEAR, _WHITE + 1) - 0.5]) / _WHITE


EDGES = _list_edges()
"""Lower edges of the levels."""
HALF = LEVELS - 128  # the first level of values above 0.5
_VALUES = np.append((EDGES[:-1] + EDGES[1:]) / 2, 1.0)  # that stand for the pixels of a level
_VALUES[0] = 0
_VALUES[_FINE:] = np.arange(_LINEAR, _WHITE + 1) / _WHITE


class Histograms(NamedTuple):
    """N faces' maps and masks, reduced to 4 kB a face: 4 GB a million.

    The last four are NaN where they are not defined. They are taken from the map stretched by a
    power of two, so that they do not depend on the score that the map was multiplied by.
    """

    inside: np.ndarray  # uint32 (N, 512): pixels of the mask at each level
    outside: np.ndarray  # uint32 (N, 512): the other pixels
    pixel_auc: np.ndarray  # float64 (N,): AUC over the pixels
    region_auc: np.ndarray  # float64 (N,): AUC over the region
    pointing: np.ndarray  # float64 (N,): share of the pixels at the highest level that are inside
    energy: np.ndarray  # float64 (N,): share of the map's sum that is inside

    @classmethod
    def empty(cls, faces: int) -> Histograms:
        """Return room for ``faces`` faces, to be filled with :meth:`put`."""
        inside, outside = np.zeros((2, faces, LEVELS), dtype=np.uint32)
        return cls(inside, outside, *np.full((4, faces), np.nan))

    def put(self, rows: np.ndarray, faces: Histograms) -> None:
        """Write some faces into their rows."""
        for column, values in zip(self, faces, strict=True):
            column[rows] = values

    def take(self, rows: np.ndarray) -> Histograms:
        """Return some of the faces; of bool that are all True, the same without a copy."""
        if rows.dtype == bool and rows.all():
            return self
        return Histograms(*(column[rows] for column in self))


def resize_levels(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly and round them to 8 bits.

    Computed in float64, where a half is told from its neighbours, so that every device rounds
    alike.

    Args:
        maps: (B, h, w), float in [0, 1], or uint8 in [0, 255].
        size: (height, width) of the result.

    Returns:
        uint8 (B, height, width): 255 times the map, to the nearest level; a half goes down, so that
        level 128 and above is exactly what lies above 0.5.
    """
    return (_resize(maps, size) + (0.5 - _ROUNDING)).to(torch.uint8)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return 255 times the maps, float64 (B, height, width)."""
    # In the map's own precision, in which 255 * (level / 255) is the level again.
    stored = maps.dtype == torch.uint8
    values = (maps if stored else maps.clamp(0, 1) * _WHITE).double()
    if maps.shape[1:] != size:
        values = interpolate(values[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return values


def _find_levels(values: Tensor) -> Tensor:
    """Return the levels, int32, of 255 times the maps, float64."""
    linear = (values + (0.5 - _ROUNDING)).int()
    # Bits of positive floats are ordered as the floats are. Integers: alike on every device.
    below = (_TOP_BITS - values.float().view(torch.int32)) >> _OCTAVE
    fine = (_FINE - 1 - below).clamp_min(1).mul_(values > 0)
    return torch.where(linear >= _LINEAR, linear + (_FINE - _LINEAR), fine)


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
    counts = _count_all(maps, masks, regions)
    outside, inside = counts.sum(axis=1).swapaxes(0, 1).astype(np.uint32)
    stretched, is_faint = _stretch(maps, masks)
    if len(stretched):
        areas = None if regions is None else regions[is_faint]
        counts[is_faint.cpu().numpy()] = _count_all(stretched, masks[is_faint], areas)
    ranks = counts.sum(axis=1)
    region_auc = np.full(len(maps), np.nan)
    if regions is not None:
        region_auc = auc(counts[:, 1, 1], counts[:, 1, 0])
    places = _place(ranks[:, 1], ranks[:, 0])
    return Histograms(inside, outside, auc(ranks[:, 1], ranks[:, 0]), region_auc, *places)


def _stretch(maps: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of fakes below 0.5, times a power of two, and which they are, bool (B,)."""
    top = _WHITE if maps.dtype == torch.uint8 else 1
    peaks = (
        maps.flatten(1).amax(dim=1).double() / top if maps.numel() else maps.new_zeros(len(maps))
    )
    is_faint = (peaks > 0) & (peaks <= 0.5) & masks.flatten(1).any(dim=1)
    scales = torch.ldexp(torch.ones_like(peaks[is_faint]), -torch.frexp(peaks[is_faint]).exponent)
    return (maps[is_faint].double() / top * scales[:, None, None]).float(), is_faint


def _place(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return pointing and energy_inside of faces, (2, N); NaN where the mask is empty."""
    everything = inside + outside
    area = divide(inside.sum(axis=1), everything.sum(axis=1))
    top = LEVELS - 1 - np.argmax(everything[:, ::-1] > 0, axis=1)[:, None]
    highest = (np.take_along_axis(part, top, axis=1)[:, 0] for part in (inside, everything))
    share = divide(inside @ _VALUES, everything @ _VALUES)
    values = np.stack([divide(*highest), np.where(top[:, 0] > 0, share, area)])
    return np.where(area > 0, values, np.nan)


def _count_all(maps: Tensor, masks: Tensor, regions: Tensor | None) -> np.ndarray:
    """Count some faces at a time, int64 (B, 1 or 2, 2, 512); see :func:`_count`."""
    pixels = _CPU_PIXELS if masks.device.type == "cpu" else _GPU_PIXELS
    sides = maps.shape[1:].numel(), masks.shape[1:].numel(), 4 * LEVELS
    step = max(1, pixels // max(sides))
    areas = repeat(None) if regions is None else regions.split(step)
    parts = zip(maps.split(step), masks.split(step), areas, strict=False)
    counts: np.ndarray = torch.cat([_count(*part) for part in parts]).cpu().numpy()
    return counts


def _count(maps: Tensor, masks: Tensor, regions: Tensor | None) -> Tensor:
    """Return the pixels of every face by region, mask and level, int64 (B, 1 or 2, 2, 512)."""
    kinds = 2 if regions is None else 4
    codes = masks.int()
    if regions is not None:
        codes += 2 * regions.int()
    faces = torch.arange(len(maps), dtype=torch.int32, device=maps.device)
    codes += kinds * faces[:, None, None]
    codes *= LEVELS
    codes += _find_levels(_resize(maps, (masks.shape[1], masks.shape[2])))
    # Of integers without weights: deterministic on CUDA as well, and fast on one CPU thread.
    counts = torch.bincount(codes.flatten(), minlength=len(maps) * kinds * LEVELS)
    return counts.reshape(len(maps), kinds // 2, 2, LEVELS)
