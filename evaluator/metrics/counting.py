"""Comparison of maps with truth masks, pixel by pixel.

Maps are resized bilinearly to the size of the mask (half-pixel centres). Metrics of one face rank
its pixels exactly, as float32. Over faces, pixels are counted at 512 levels: above 0.06 in steps of
1 / 255, as an 8-bit map; below that sixteen levels per octave down to 4e-7. So memory does not grow
with the number of pixels, and all thresholds are evaluated at once. :class:`PixelPool` adds counts
that are fine enough for the ranking of all pixels together. Faces are compared in batches, on any
device, with the same result on all devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from evaluator.metrics.ranking import average_precision
from focus.errors import count_of

LEVELS = 512
_WHITE = 255  # of an 8-bit map
_LINEAR = 16  # the first 8-bit level that is one level here; below it, levels are finer
_FINE = LEVELS - (_WHITE - _LINEAR + 1)  # number of finer levels, including 0
# Values of a resized uint8 map are multiples of 1 / (4 H W), which float64 represents to within
# this error: a value closer than this to a half counts as a half.
_ROUNDING = 1e-9
_OCTAVE = 19  # low bits of a float32 that are dropped; four bits of the mantissa are kept
_TOP_BITS = int(np.float32(_LINEAR - 0.5).view(np.int32))
_MIDDLE = 2**29  # centres the bits of floats below 1, so that four times them fit into an int32
_PADDED = 2**31 - 1  # the key of a pixel to leave out; above all others
_DROPPED = 7  # low bits of a float32 that a pool drops
_BINS = 2 ** (23 - _DROPPED)  # of a pool in each octave
_OCTAVES = 127  # of float32 below 1
# Pixels per step: on a CPU as many as fit its caches, on a GPU enough to keep it busy in 0.5 GiB.
_CPU_PIXELS, _GPU_PIXELS = 2**19, 2**24


def _list_edges() -> np.ndarray:
    """Return the lower edge of each level, float64 (512,) in [0, 1]; -1 for level 0."""
    bits = _TOP_BITS - (np.arange(_FINE - 1, 0, -1, dtype=np.int32) << _OCTAVE)
    fine = bits.view(np.float32).astype(np.float64)
    fine[0] = 0
    return np.concatenate([[-_WHITE], fine, np.arange(_LINEAR, _WHITE + 1) - 0.5]) / _WHITE


EDGES = _list_edges()
"""Lower edges of the levels (exclusive)."""
HALF = LEVELS - 128  # the first level of values above 0.5


class PixelPool:
    """Counts of the pixels of many fakes, by the leading bits of their values as float32.

    The bins are 2^-16 of a value wide at any magnitude, so that the average precision of all pixels
    does not depend on the score that maps were multiplied by. Faces are counted in groups; memory
    is up to 1 MB per group and octave of values that occurs, and does not grow with the number
    of faces.
    """

    def __init__(self) -> None:
        self._counts: dict[int, np.ndarray] = {}  # unused pages of zeros take no memory
        self._octaves: dict[int, np.ndarray] = {}  # bool (_OCTAVES,): those that occur

    def add(self, group: int, keys: np.ndarray) -> None:
        """Add the pixels of a fake to a group, from sorted keys (int32 (P,)) without padding."""
        if group not in self._counts:
            self._counts[group] = np.zeros((2, _OCTAVES, _BINS), dtype=np.int64)
            self._octaves[group] = np.zeros(_OCTAVES, dtype=bool)
        bins = (keys >> (2 + _DROPPED)) + (_MIDDLE >> _DROPPED)
        starts = np.arange(_OCTAVES + 1, dtype=np.int32) * _BINS
        self._octaves[group] |= np.diff(np.searchsorted(bins, starts)) > 0
        bins += (keys >> 1 & 1) * (_OCTAVES * _BINS)
        np.add.at(self._counts[group].reshape(-1), bins, 1)

    def average_precision(self, groups: Iterable[int]) -> float:
        """Return the average precision over the pixels of some groups; NaN without any inside."""
        found = [group for group in groups if group in self._counts]
        if not found:
            return float("nan")
        octaves = np.logical_or.reduce([self._octaves[group] for group in found])
        counts = np.zeros((2, int(octaves.sum()), _BINS), dtype=np.int64)
        for group in found:
            counts += self._counts[group][:, octaves]
        negatives, positives = counts[..., counts.any(axis=0)]
        return float(average_precision(positives, negatives))


class Histograms(NamedTuple):
    """Maps and masks of N faces, reduced to 4 kB per face (4 GB per million).

    The last four are NaN where undefined. They are exact whatever score the map was multiplied by.
    """

    inside: np.ndarray  # uint32 (N, 512): pixels of the mask at each level
    outside: np.ndarray  # uint32 (N, 512): the other pixels
    pixel_auc: np.ndarray  # float64 (N,): AUC over the pixels
    region_auc: np.ndarray  # float64 (N,): AUC over the region
    pointing: np.ndarray  # float64 (N,): share of the pixels of the highest value that are inside
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


def count_levels(
    maps: Tensor,
    masks: Tensor,
    regions: Tensor | None = None,
    padding: Tensor | None = None,
    pool: PixelPool | None = None,
    groups: np.ndarray | None = None,
) -> Histograms:
    """Compare maps with the truth masks, at the size of the masks.

    All tensors must be on one device.

    Args:
        maps: (B, h, w), float in [0, 1] or uint8 in [0, 255]; 1 or 255 = manipulated.
        masks: bool (B, H, W), the truth; all False for a real face.
        regions: bool (B, H, W), areas inside which the AUC is also computed.
        padding: bool (B, H, W), pixels to leave out.
        pool: receives the pixels of all faces with a mask.
        groups: int (B,), the group of each face in the pool; default: all 0.

    Returns:
        The histograms of the B faces, on the CPU.

    Raises:
        ValueError: the numbers of maps and masks differ, or regions differ from masks in shape.
    """
    for name, part in (("regions", regions), ("padding", padding)):
        if part is not None and part.shape != masks.shape:
            sizes = (" x ".join(map(str, part.shape)) for part in (part, masks))
            raise ValueError("the {} are {}, the masks {}".format(name, *sizes))
    if len(maps) != len(masks):
        raise ValueError(f"{count_of(len(maps), 'map')}, {count_of(len(masks), 'mask')}")
    pixels = _CPU_PIXELS if masks.device.type == "cpu" else _GPU_PIXELS
    step = max(1, pixels // max(maps.shape[1:].numel(), masks.shape[1:].numel(), 2 * LEVELS))
    groups = np.zeros(len(maps), dtype=np.int64) if groups is None else groups
    found = Histograms.empty(len(maps))
    for start in range(0, len(maps), step):
        here = slice(start, start + step)
        values = _resize(maps[here], (masks.shape[1], masks.shape[2]))
        more = (None if part is None else part[here] for part in (regions, padding))
        pixels_here = _Pixels.of(values, masks[here], *more)
        found.outside[here], found.inside[here] = pixels_here.tally()
        rows = np.flatnonzero(found.inside[here].any(axis=1))
        if len(rows):
            ranked = pixels_here.take(rows).rank(pool, groups[here][rows])
            for column, result in zip(found[2:], ranked, strict=True):
                column[start + rows] = result
    return found


class _Pixels(NamedTuple):
    """Values of B faces at the size of the masks, and the areas that each pixel belongs to."""

    values: Tensor  # float64 (B, P), 255 times the map
    inside: Tensor  # bool (B, P): in the mask
    region: Tensor | None  # bool (B, P)
    padding: Tensor | None  # bool (B, P): not counted; never inside nor in the region

    @classmethod
    def of(
        cls, values: Tensor, masks: Tensor, regions: Tensor | None, padding: Tensor | None
    ) -> _Pixels:
        """Flatten the pixels, and take padding out of masks and regions."""
        if padding is not None:
            masks, padding = masks & ~padding, padding.flatten(1)
            regions = None if regions is None else regions & ~padding.view_as(regions)
        regions = None if regions is None else regions.flatten(1)
        return cls(values.flatten(1), masks.flatten(1), regions, padding)

    def take(self, rows: np.ndarray) -> _Pixels:
        """Return some of the faces."""
        if len(rows) == len(self.values):
            return self
        there = torch.from_numpy(rows).to(self.values.device)
        region, padding = (
            None if part is None else part[there] for part in (self.region, self.padding)
        )
        return _Pixels(self.values[there], self.inside[there], region, padding)

    def tally(self) -> np.ndarray:
        """Return the pixels outside and inside by level, int64 (2, B, 512)."""
        codes = self.inside.int()
        if self.padding is not None:
            codes += 2 * self.padding.int()
        faces = torch.arange(len(codes), dtype=torch.int32, device=codes.device)
        codes += 3 * faces[:, None]
        codes *= LEVELS
        codes += _find_levels(self.values)
        # bincount of integers without weights is deterministic on CUDA and fast on one CPU thread.
        counts = torch.bincount(codes.flatten(), minlength=len(codes) * 3 * LEVELS)
        table: np.ndarray = counts.reshape(len(codes), 3, LEVELS).cpu().numpy()
        return table.swapaxes(0, 1)[:2]

    def rank(self, pool: PixelPool | None, groups: np.ndarray) -> np.ndarray:
        """Return pixel_auc, region_auc, pointing and energy, float64 (4, B)."""
        levels = (self.values / 256).float()  # below 1; a power of two keeps all bits
        keys = levels.view(torch.int32).sub_(_MIDDLE).mul_(4)
        keys += 2 * self.inside.int()
        if self.region is not None:
            keys += self.region
        if self.padding is not None:
            keys.masked_fill_(self.padding, _PADDED)
        rows = [row[: np.searchsorted(row, _PADDED)] for row in _sort(keys)]
        if pool is not None:
            for group, row in zip(groups.tolist(), rows, strict=True):
                pool.add(group, row)
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            return np.array(list(threads.map(_rank_face, rows))).T


def _sort(keys: Tensor) -> np.ndarray:
    """Sort rows, int32 (B, P); NumPy does so ten times as fast as torch on a CPU."""
    if keys.device.type == "cpu":
        return np.sort(keys.numpy(), axis=1)
    found: np.ndarray = keys.sort(dim=1).values.cpu().numpy()
    return found


def _rank_face(keys: np.ndarray) -> tuple[float, float, float, float]:
    """Return pixel_auc, region_auc, pointing and energy of a fake from its sorted keys."""
    pixels = keys >> 1  # without the region: twice the value, plus 1 inside the mask
    inside = (pixels & 1).astype(bool)
    in_region = (keys & 1).astype(bool)
    highest = inside[np.searchsorted(pixels, pixels[-1] & ~1) :]
    values = ((pixels >> 1) + _MIDDLE).view(np.float32)
    everything = values.sum(dtype=np.float64)
    share = values[inside].sum(dtype=np.float64) / everything if everything else inside.mean()
    region_auc = _auc_of(pixels[in_region]) if in_region.any() else np.nan
    return _auc_of(pixels), region_auc, float(highest.mean()), float(share)


def _auc_of(pixels: np.ndarray) -> float:
    """Return the AUC of sorted pixels, int32 (P,): twice the value, plus 1 inside the mask.

    From whole numbers: the rank sum, less half of the pairs of equal value, in which the pixel
    inside is ranked above.
    """
    inside = np.flatnonzero(pixels & 1)
    positives, negatives = len(inside), len(pixels) - len(inside)
    if not positives or not negatives:
        return float("nan")
    ordered = int(inside.sum()) - positives * (positives - 1) // 2
    first = np.flatnonzero((pixels[1:] ^ pixels[:-1]) == 1) + 1  # inside, of values on both sides
    before = first - np.searchsorted(pixels, pixels[first] - 1, "left")
    after = np.searchsorted(pixels, pixels[first], "right") - first
    return (ordered - int(before @ after) / 2) / (positives * negatives)
