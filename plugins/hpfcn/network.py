"""The high-pass filters, the bottlenecks and the upsampling of HPFCN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins.differences import first_differences

Upsampling = Literal["mixed", "code"]

STRIDE = 16
FACTOR = 4  # of each of the two steps of upsampling
STEPS = (64, 4)  # channels behind each
EXPANSION = 4


class HighPass(nn.Module):
    """Nine learnable differences of neighbouring pixels, in float32 also under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.differences = first_differences(3)

    def forward(self, images: Tensor) -> Tensor:
        """Return residuals (B, 9, H, W), float32, of images (B, 3, H, W)."""
        with torch.autocast(images.device.type, enabled=False):
            return self.differences(images.float())


class Bottleneck(nn.Module):
    """A pre-activation bottleneck: norms and ReLUs before the convolutions.

    Args:
        inputs: channels of the input.
        width: channels of the 3 x 3 convolution; the output has four times as many.
        stride: of the 3 x 3 convolution and, where the channels stay, of the shortcut.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.stride = stride
        self.activation = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.projection = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else None
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, 4 width, h / stride, w / stride) of features (B, inputs, h, w)."""
        active = self.activation(features)
        if self.projection is None:
            shortcut = features[:, :, :: self.stride, :: self.stride]
        else:
            shortcut = self.projection(active)
        return shortcut + self.residual(active)


class Body(nn.Sequential):
    """Four blocks of two bottlenecks; (B, 9, H, W) to (B, 32 width, H / 16, W / 16).

    Args:
        width: of the first block's bottlenecks; doubled in every next block.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        inputs = 9
        for here in (width, 2 * width, 4 * width, 8 * width):
            outputs = EXPANSION * here
            layers += [Bottleneck(inputs, here), Bottleneck(outputs, here, stride=2)]
            inputs = outputs
        super().__init__(*layers)
        self.outputs = inputs


class Enlarge(nn.Module):
    """A 1 x 1 convolution, then a fixed bilinear enlargement."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, outputs, 4 h, 4 w) of features (B, inputs, h, w)."""
        return F.interpolate(
            self.mix(features), scale_factor=FACTOR, mode="bilinear", align_corners=False
        )


def upsample(inputs: int, kind: Upsampling) -> nn.Sequential:
    """Return two steps of four-fold upsampling, and a 5 x 5 convolution to two logits."""
    make: Callable[[int, int], nn.Module] = Enlarge if kind == "mixed" else _transpose
    first, second = STEPS
    return nn.Sequential(
        make(inputs, first),
        make(first, second),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.Conv2d(second, 2, 5, padding=2),
    )


def _transpose(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that starts as bilinear from every to every channel."""
    side = 2 * FACTOR
    layer = nn.ConvTranspose2d(inputs, outputs, side, FACTOR, padding=FACTOR // 2, bias=False)
    ramp = 1 - ((torch.arange(side) + 0.5) / FACTOR - 1).abs()
    layer.weight.data.copy_((ramp[:, None] * ramp).expand_as(layer.weight))
    return layer
