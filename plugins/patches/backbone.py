"""Features on a grid: a truncated Xception, or any timm model with a grid of tokens."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from plugins import GridConfig, Reading, create_backbone, create_grid

XCEPTION = "legacy_xception"
WIDTHS = {1: 128, 2: 256, 3: 728, 4: 728}  # channels after a block
GAIN = 0.02


class TruncatedXception(nn.Module):
    """Xception's stem and first blocks, without the ReLU that starts the next block.

    Args:
        block: the last block, 1 to 4.
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.

    Attributes:
        dim: channels of the features.
        mean, std: standardisation of values in [0, 1] that the weights expect, per channel.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    def __init__(self, block: int, weights: str) -> None:
        super().__init__()
        body: Any = create_backbone(XCEPTION, weights, num_classes=0)
        self.stem = nn.Sequential(body.conv1, body.bn1, body.act1, body.conv2, body.bn2, body.act2)
        self.blocks = nn.Sequential(*(getattr(body, f"block{n}") for n in range(1, block + 1)))
        self.is_pretrained = body.is_pretrained
        self.dim = WIDTHS[block]
        self.mean, self.std = _standardisation(body)
        if weights == "none":
            self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, D, h, w) of images (B, 3, H, W)."""
        return self.blocks(self.stem(images))


class TokenPlanes(nn.Module):
    """The token grid of a timm model, as planes; attributes as in :class:`TruncatedXception`.

    Raises:
        InputError: an unknown model, one without a token grid, or weights that do not fit.
    """

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        self.reading: Reading
        self.body, self.reading = create_grid(config)
        self.dim = self.reading.dim
        self.mean, self.std = _standardisation(self.body)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (B, D, h, w) of images (B, 3, H, W) of the configured size."""
        return self.reading.read_planes(self.body, images)


def initialise(module: nn.Module) -> None:
    """Initialise a convolution by Xavier's normal distribution with gain 0.02, its bias by 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight, GAIN)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _standardisation(
    body: Any,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    settings = body.pretrained_cfg
    return settings["mean"], settings["std"]
