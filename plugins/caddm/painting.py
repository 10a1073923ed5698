"""What the anchors say, as a map: our addition, so that the detector makes maps itself."""

from __future__ import annotations

import torch
from torch import Tensor

CELLS = 14
GLOBAL = 2
"""The last anchors are the whole picture's: they say nothing of a place."""


def paint(boxes: Tensor, confidence: Tensor, image_size: int) -> Tensor:
    """Return maps (B, 1, 14, 14) in [0, 1]: 1 - product of (1 - confidence * share covered).

    That is the probability that one of the local boxes over a cell is forged, were they
    independent.
    Each box alone is unsure, for a fake has a box of one drawn size; the largest confidence or
    their mean place a forged area less well (measured on drawn patches).

    Args:
        boxes: (B, A, 4), left, top, right, bottom in pixels.
        confidence: (B, A), the probability of a forged area.
        image_size: side of the square picture.
    """
    boxes, confidence = boxes[:, :-GLOBAL] * (CELLS / image_size), confidence[:, :-GLOBAL]
    edges = torch.arange(CELLS, device=boxes.device)
    starts, ends = boxes[..., None, :2], boxes[..., None, 2:]
    shared = torch.minimum(ends, edges[:, None] + 1) - torch.maximum(starts, edges[:, None])
    columns, rows = shared.clamp(min=0).unbind(dim=-1)  # (B, A, 14), shares of a cell
    covered = confidence[..., None, None] * rows[..., :, None] * columns[..., None, :]
    return 1 - (1 - covered).prod(dim=1)[:, None]
