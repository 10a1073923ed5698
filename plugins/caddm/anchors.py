"""Anchors over four grids: positions, matching to boxes, and encoding of boxes.

Boxes are float32 (left, top, right, bottom) in pixels; anchors (x, y, width, height) in pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

REFERENCE = 224
"""Image side in pixels of the table below; anchors scale in proportion."""
LEAST_GRID = 7
_LEVELS = (  # cells a side, pixels between anchors, (width, height) of the two anchors of a cell
    (7, 32, ((40, 80), (80, 40))),
    (5, 45, ((80, 120), (120, 80))),
    (3, 75, ((120, 160), (160, 120))),
    (1, 224, ((224, 224), (224, 224))),
)
PER_CELL = 2
_VARIANCES = (0.1, 0.2)
_LEAST_OVERLAP = 0.5
_LARGEST_GROWTH = 4.0


class Assignment(NamedTuple):
    """Training targets of the anchors for a batch.

    positive: bool (B, A), whether the anchor is matched to a box.  offsets: float32 (B, A, 4), that
    box encoded by :func:`encode`; undefined where the anchor is not positive.
    """

    positive: Tensor
    offsets: Tensor


def level_grids(grid: int) -> tuple[int, ...]:
    """Return the cells a side of the four levels over features of ``grid`` x ``grid`` cells."""
    return (grid, grid - 2, grid - 4, 1)


def lay_anchors(image_size: int, grid: int) -> Tensor:
    """Return the anchors, float32 (A, 4): level by level, row by row, two a cell.

    At 224 with a grid of 7 these are 2 x (49 + 25 + 9 + 1) = 168, the paper's.
    """
    scale = image_size / REFERENCE
    rows = []
    for (cells, step, sizes), side in zip(_LEVELS, level_grids(grid), strict=True):
        places = (torch.arange(side) + 0.5) * (step * scale * cells / side)
        y, x = torch.meshgrid(places, places, indexing="ij")
        centres = torch.stack([x, y], dim=-1).view(-1, 1, 2).expand(-1, PER_CELL, -1)
        shapes = (torch.tensor(sizes) * scale).expand(side * side, -1, -1)
        rows.append(torch.cat([centres, shapes], dim=-1).view(-1, 4))
    return torch.cat(rows)


def to_corners(anchors: Tensor) -> Tensor:
    """Return anchors (..., 4) as boxes."""
    centres, half = anchors[..., :2], anchors[..., 2:] / 2
    return torch.cat([centres - half, centres + half], dim=-1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes (..., 4) relative to anchors (SSD): shifts over 0.1, log sizes over 0.2."""
    centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    shifts = (centres - anchors[..., :2]) / (anchors[..., 2:] * _VARIANCES[0])
    return torch.cat([shifts, (sizes / anchors[..., 2:]).log() / _VARIANCES[1]], dim=-1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes of offsets (..., 4), with bounded growth."""
    centres = anchors[..., :2] + offsets[..., :2] * _VARIANCES[0] * anchors[..., 2:]
    growth = (offsets[..., 2:] * _VARIANCES[1]).clamp(max=_LARGEST_GROWTH)
    return to_corners(torch.cat([centres, anchors[..., 2:] * growth.exp()], dim=-1))


def measure_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union (..., N, M) of boxes (..., N, 4) and (..., M, 4)."""
    one, two = boxes[..., :, None, :], others[..., None, :, :]
    sides = torch.minimum(one[..., 2:], two[..., 2:]) - torch.maximum(one[..., :2], two[..., :2])
    shared = sides.clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (one, two)]
    return shared / (areas[0] + areas[1] - shared)


def match_anchors(anchors: Tensor, boxes: Tensor, present: Tensor) -> Assignment:
    """Match anchors to boxes.

    Positive are anchors that overlap a box by at least one half, and the best anchor of each box,
    whatever its overlap.

    Args:
        anchors: (A, 4).
        boxes: (B, G, 4), of a size above 0, even where absent.
        present: bool (B, G), which boxes are present.
    """
    overlaps = measure_overlaps(boxes, to_corners(anchors))  # (B, G, A)
    overlaps = overlaps.masked_fill(~present[..., None], -1)
    best = torch.zeros_like(overlaps, dtype=torch.bool)
    best.scatter_(2, overlaps.argmax(dim=2, keepdim=True), True)
    overlaps = torch.where(best & present[..., None], 2 + overlaps, overlaps)
    overlap, which = overlaps.max(dim=1)  # (B, A)
    matched = boxes.gather(1, which[..., None].expand(-1, -1, 4))
    return Assignment(overlap >= _LEAST_OVERLAP, encode(matched, anchors))
