"""The trunks of MVSS-Net: a ResNet whose last stage is dilated instead of strided."""

from __future__ import annotations

from typing import Any

from torch import nn

from plugins import InputError, create_backbone

DILATIONS = (1, 2, 4)  # of the blocks of the last stage
STRIDE = 16


def create_trunk(encoder: str, weights: str) -> Any:
    """Return a ResNet that gives four levels at strides 4, 8, 16 and 16.

    Args:
        encoder: a ResNet of timm.
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.

    Raises:
        InputError: another model, or weights that are unavailable or do not fit.
    """
    body = create_backbone(
        encoder, weights, features_only=True, out_indices=(1, 2, 3, 4), output_stride=STRIDE
    )
    stage = getattr(body, "layer4", None)
    if stage is None:
        raise InputError(f"--options encoder={encoder}: not a ResNet; use resnet50 or similar")
    for place, block in enumerate(stage):
        _dilate(block, DILATIONS[min(place, len(DILATIONS) - 1)])
    return body


def _dilate(block: nn.Module, dilation: int) -> None:
    """Set the dilation of a block's 3 x 3 convolutions, which keep their size."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.dilation = module.padding = (dilation, dilation)
