"""The feature extraction backbone: Xception's entry and middle flow, three levels of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from plugins import create_backbone

WIDTHS = (64, 256, 728)  # channels of the three levels
BLOCKS = range(3, 12)  # between the middle level and the deep one


class Levels(NamedTuple):
    """Features at three depths of the backbone."""

    shallow: Tensor  # (B, 64, h, w) after the second convolution, not negative: stride 2
    middle: Tensor  # (B, 256, h, w) after block 2, before any ReLU: stride 8
    deep: Tensor  # (B, 728, h, w) after block 11, before any ReLU: stride 16


class Backbone(nn.Module):
    """Xception without its exit flow.

    Args:
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        body: Any = create_backbone("legacy_xception", weights, num_classes=0)
        self.stem = nn.Sequential(body.conv1, body.bn1, body.act1, body.conv2, body.bn2, body.act2)
        self.entry = nn.Sequential(body.block1, body.block2)
        self.flow = nn.Sequential(*(getattr(body, f"block{number}") for number in BLOCKS))
        self.is_pretrained = body.is_pretrained

    def forward(self, images: Tensor) -> Levels:
        """Return the three levels of images (B, 3, H, W); 147, 37 and 19 cells a side at 299."""
        shallow = self.stem(images)
        middle = self.entry(shallow)
        return Levels(shallow, middle, self.flow(middle))
