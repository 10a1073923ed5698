"""The number of pixels of each map at each level, inside and outside the truth mask.

A face is reduced to two histograms, so memory does not grow with the number of pixels and all
thresholds are evaluated at once. Maps are resized bilinearly to the size of the mask (half-pixel
centres) and quantised to 512 levels: above 0.06 in steps of 1 / 255, as an 8-bit map; below that
sixteen levels per octave down to 4e-7, so that a map multiplied by a small score keeps its ranking.
Faces are counted in batches, on any device, with the same counts on all devices.
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
_LINEAR = 16  # the first 8-bit level that is one level here; below it, levels are finer
_FINE = LEVELS - (_WHITE - _LINEAR + 1)  # number of finer levels, including 0
# Values of a resized uint8 map are multiples of 1 / (4 H W), which float64 represents to within
# this error: a value closer than this to a half counts as a half.
_ROUNDING = 1e-9
_OCTAVE = 19  # low bits of a float32 that are dropped; four bits of the mantissa are kept
_TOP_BITS = int(np.float32(_LINEAR - 0.5).view(np.int32))
# Pixels per step: on a CPU as many as fit its caches, on a GPU enough to keep it busy in 0.5 GiB.
_CPU_PIXELS, _GPU_PIXELS = 2**19, 2**24


def level_of(value: float) -> int:
    """Return the first level whose values are all above ``value``, in [0, 1]."""
    return int(_find_levels(torch.tensor([value * _WHITE], dtype=torch.float64))[0]) + 1


def _list_edges() -> np.ndarray:
    """Return the lower edge of each level, float64 (512,) in [0, 1]; -1 for level 0."""
    bits = _TOP_BITS - (np.arange(_FINE - 1, 0, -1, dtype=np.int32) << _OCTAVE)
    fine = bits.view(np.float32).astype(np.float64)
    fine[0] = 0
    return np.concatenate([[-_WHITE], fine, np.arange(_LINEAR, _WHITE + 1) - 0.5]) / _WHITE


EDGES = _list_edges()
"""Lower edges of the levels (exclusive)."""
HALF = LEVELS - 128  # the first level of values above 0.5
_VALUES = np.append((EDGES[:-1] + EDGES[1:]) / 2, 1.0)  # one representative value per level
_VALUES[0] = 0
_VALUES[_FINE:] = np.arange(_LINEAR, _WHITE + 1) / _WHITE


class Histograms(NamedTuple):
    """Maps and masks of N faces, reduced to 4 kB per face (4 GB per million).

    The last four are NaN where undefined. They are computed from the map scaled by a power of two,
    so they do not depend on the score that the map was multiplied by.
    """

    inside: np.ndarray  # uint32 (N, 512): pixels of the mask at each level
    outside: np.ndarray  # uint32 (N, 512): the other pixels
    pixel_auc: np.ndarray  # float64 (N,): AUC over the pixels
    region_auc: np.ndarray  # float64 (N,): AUC over the region
    pointing: np.ndarray  # float64 (N,): share of the pixels at the highest level that are inside
    energy: np.ndarray  # float64 (N,): share of the map's sum that is inside

    @classmethod
    def empty(cls, faces: int) -> Histograms:
        """Allocate histograms of ``faces`` faces, to be filled with :meth:`put`."""
        inside, outside = np.zeros((2, faces, LEVELS), dtype=np.uint32)
        return cls(inside, outside, *np.full((4, faces), np.nan))

    def put(self, rows: np.ndarray, faces: Histograms) -> None:
        """Write some faces into their rows."""
        for column, values in zip(self, faces, strict=True):
            column[rows] = values

    def take(self, rows: np.ndarray) -> Histograms:
        """Return some of the faces; this object itself, not a copy, if a bool mask is all True."""
        if rows.dtype == bool and rows.all():
            return self
        return Histograms(*(column[rows] for column in self))


def resize_levels(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly and round them to 8 bits.

    Computed in float64, which represents halves exactly enough that every device rounds alike.

    Args:
        maps: (B, h, w), float in [0, 1], or uint8 in [0, 255].
        size: (height, width) of the result.

    Returns:
        uint8 (B, height, width): 255 times the map, rounded to the nearest level; a half is
        rounded down, so that levels from 128 on are exactly the values above 0.5.
    """
    return (_resize(maps, size) + (0.5 - _ROUNDING)).to(torch.uint8)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return 255 times the maps, float64 (B, height, width)."""
    # Multiply in the map's own precision, in which 255 * (level / 255) == level.
    stored = maps.dtype == torch.uint8
    values = (maps if stored else maps.clamp(0, 1) * _WHITE).double()
    if maps.shape[1:] != size:
        values = interpolate(values[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return values


def _find_levels(values: Tensor) -> Tensor:
    """Return the levels, int32, of 255 times the maps, float64."""
    linear = (values + (0.5 - _ROUNDING)).int()
    # The bits of positive floats sort like the floats. Integers are the same on every device.
    below = (_TOP_BITS - values.float().view(torch.int32)) >> _OCTAVE
    fine = (_FINE - 1 - below).clamp_min(1).mul_(values > 0)
    return torch.where(linear >= _LINEAR, linear + (_FINE - _LINEAR), fine)


def count_levels(maps: Tensor, masks: Tensor, regions: Tensor | None = None) -> Histograms:
    """Count the levels of maps inside and outside the truth masks, at the size of the masks.

    All tensors must be on one device.

    Args:
        maps: (B, h, w), float in [0, 1] or uint8 in [0, 255]; 1 or 255 = manipulated.
        masks: bool (B, H, W), the truth; all False for a real face.
        regions: bool (B, H, W), areas inside which the AUC is also computed.

    Returns:
        The histograms of the B faces, on the CPU.

    Raises:
        ValueError: the numbers of maps and masks differ, or regions differ from masks in shape.
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
    """Return the maps of fakes with a peak up to 0.5, scaled by a power of two, and which, (B,)."""
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
    """Count faces in chunks, int64 (B, 1 or 2, 2, 512); see :func:`_count`."""
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
    # bincount of integers without weights is deterministic on CUDA and fast on one CPU thread.
    counts = torch.bincount(codes.flatten(), minlength=len(maps) * kinds * LEVELS)
    return counts.reshape(len(maps), kinds // 2, 2, LEVELS)
