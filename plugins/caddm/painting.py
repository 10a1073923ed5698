"""A map from the anchors: our addition to the method."""

from __future__ import annotations

import torch
from torch import Tensor

CELLS = 14
GLOBAL = 2
"""The last anchors cover the whole image, so they do not localise."""


def paint(boxes: Tensor, confidence: Tensor, image_size: int) -> Tensor:
    """Return maps (B, 1, 14, 14) in [0, 1]: 1 - product of (1 - confidence * share covered).

    This is the probability that any local box over a cell is forged, assuming independence.
    Each box alone is uncertain, because a fake has a box of one random size; the largest confidence
    or the mean localise less well (measured on synthetic patches).

    Args:
        boxes: (B, A, 4), left, top, right, bottom in pixels.
        confidence: (B, A), the probability of a forged area.
        image_size: side of the square image.
    """
    boxes, confidence = boxes[:, :-GLOBAL] * (CELLS / image_size), confidence[:, :-GLOBAL]
    edges = torch.arange(CELLS, device=boxes.device)
    starts, ends = boxes[..., None, :2], boxes[..., None, 2:]
    shared = torch.minimum(ends, edges[:, None] + 1) - torch.maximum(starts, edges[:, None])
    columns, rows = shared.clamp(min=0).unbind(dim=-1)  # (B, A, 14), shares of a cell
    covered = confidence[..., None, None] * rows[..., :, None] * columns[..., None, :]
    return 1 - (1 - covered).prod(dim=1)[:, None]
