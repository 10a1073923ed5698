"""Xception in parts, for a map between two of its blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from plugins import create_backbone

XCEPTION = "legacy_xception"
BLOCKS = 12
WIDTH = 728  # channels behind each of the blocks 3 to 11
DEEPEST = 2048  # channels at the end


class Parts(NamedTuple):
    """Xception in parts; the first two have the attribute ``is_pretrained`` of a backbone."""

    before: nn.Sequential
    """(B, 3, H, W) to (B, 728, h, w)."""
    behind: nn.Sequential
    """(B, 728, h, w) to (B, 2048, h', w')."""
    classifier: nn.Module
    """(B, 2048), the mean over h' and w', to (B, classes); the identity for 0 classes."""


def split_xception(after: int, weights: str, classes: int = 0) -> Parts:
    """Return Xception, cut behind a block.

    Args:
        after: number of the block, 3 to 11.
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.
        classes: outputs of the classifier; 0 for none.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """
    body: Any = create_backbone(XCEPTION, weights, num_classes=classes)
    blocks = [getattr(body, f"block{number}") for number in range(1, BLOCKS + 1)]
    stem = (body.conv1, body.bn1, body.act1, body.conv2, body.bn2, body.act2)
    end = (body.conv3, body.bn3, body.act3, body.conv4, body.bn4, body.act4)
    before, behind = nn.Sequential(*stem, *blocks[:after]), nn.Sequential(*blocks[after:], *end)
    for part in (before, behind):
        part.is_pretrained = body.is_pretrained
    return Parts(before, behind, body.fc)
