"""GFFD: an RGB and a noise-residual Xception that guide each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    FAKE,
    Batch,
    Detector,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_options,
    create_backbone,
    minmax,
    srm,
)
from plugins.gffd.cross_modal_attention import CrossModalAttention
from plugins.gffd.fusion import Fusion
from plugins.gffd.multi_scale import FeatureResidual
from plugins.gffd.residual_attention import ResidualAttention
from plugins.losses import am_softmax, cosines

MIDDLE, DEEP = 728, 2048  # channels of Xception after block 3, and at its end
EXCHANGES, BLOCKS = (3, 7), 12  # blocks after which the streams exchange; number of blocks


@dataclass(frozen=True)
class GffdConfig:
    """The network and its loss; the defaults are the paper's."""

    encoder_weights: str = "timm"
    """For both Xceptions: a file (safetensors or a tensors-only .pth), 'timm', or 'none'."""
    image_size: int = 256
    """Side of the square input in pixels; trained weights are tied to it."""
    scale: float = 30.0
    """s of the AM-softmax."""
    margin: float = 0.5
    """m of the AM-softmax: margin subtracted from the cosine of the true class."""

    def __post_init__(self) -> None:
        check_options(self, "image_size", least=64)
        check_options(self, "scale", above=0)
        check_options(self, "margin", least=0)


class Output(NamedTuple):
    """Output of the network for a batch."""

    cosines: Tensor  # (B, 2): between the face and the directions of real and fake, float32
    attention: Tensor  # (B, 1, h, w) in (0, 1): the residual-guided spatial attention, float32


class Gffd(Detector[GffdConfig]):
    """Two-stream detector; its map is the residual-guided attention of the RGB stream.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: Xceptions that cannot be built, or weights that do not fit them.
    """

    maps_without_supervision = True
    normalisation = "class_minmax"
    gmacs = 14.0
    summary = Summary(
        "Luo et al., CVPR 2021", "score, attention as map", "labels alone", "ImageNet"
    )
    optimizer = OptimizerConfig(optimizer="adam", lr=2e-4, weight_decay=5e-4, schedule="constant")
    steps = 22_500
    batch = 32

    def __init__(self, config: GffdConfig = GffdConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.rgb: Any = _create_stream(config)
        self.noise: Any = _create_stream(config)
        self.residuals = nn.ModuleList(FeatureResidual(channels) for channels in (32, 64))
        self.attention = ResidualAttention()
        self.attended = nn.Sequential(nn.BatchNorm2d(64), nn.ReLU())
        cells = _grid(config.image_size) ** 2
        self.exchanges = nn.ModuleList(CrossModalAttention(MIDDLE, cells) for _ in EXCHANGES)
        self.fusion = Fusion(DEEP)
        self.classes = nn.Linear(DEEP, 2, bias=False)

    def forward(self, images: Tensor) -> Output:
        """Return class cosines and the spatial attention of images (B, 3, H, W)."""
        with torch.autocast(images.device.type, enabled=False):
            residual = srm(self.input_spec.restore(images))  # (B, 3, H, W)
        attention = self.attention(residual)
        rgb, noise = self._enter(images, residual, attention)
        exchanges = iter(self.exchanges)
        for number in range(1, BLOCKS + 1):
            rgb = getattr(self.rgb, f"block{number}")(rgb)
            noise = getattr(self.noise, f"block{number}")(noise)
            if number in EXCHANGES:
                rgb, noise = next(exchanges)(rgb, noise)
        features = self.fusion(_leave(self.rgb, rgb), _leave(self.noise, noise))
        found = cosines(features.mean(dim=(2, 3)), self.classes.weight)
        return Output(found, attention.float())

    def _enter(self, images: Tensor, residual: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Run the entry flow's convolutions: (B, 64, h, w) of both streams."""
        rgb = self.rgb.act1(self.rgb.bn1(self.rgb.conv1(images)))
        noise = self.noise.act1(self.noise.bn1(self.noise.conv1(residual)))
        noise = F.relu(noise + self.residuals[0](rgb))
        rgb = self.rgb.act2(self.rgb.bn2(self.rgb.conv2(rgb)))
        noise = self.noise.act2(self.noise.bn2(self.noise.conv2(noise)))
        noise = F.relu(noise + self.residuals[1](rgb))
        return self.attended(rgb * (1 + attention)), noise

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the AM-softmax."""
        config, output = self.config, self(batch.images)
        loss = am_softmax(output.cosines, batch.labels, config.scale, config.margin)
        return {"classification": loss}

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the attention in [0, 1] times P(fake), and the raw attention."""
        output = self(images)
        scores = (self.config.scale * output.cosines).softmax(dim=1)[:, FAKE]
        maps = minmax(output.attention) * scores[:, None, None, None]
        return Prediction(scores, maps, {"raw": output.attention})


def _create_stream(config: GffdConfig) -> nn.Module:
    return create_backbone("legacy_xception", config.encoder_weights, num_classes=0)


def _leave(stream: Any, features: Tensor) -> Tensor:
    """Run Xception's last two convolutions, without the final activation."""
    features = stream.act3(stream.bn3(stream.conv3(features)))
    return stream.bn4(stream.conv4(features))


def _grid(side: int) -> int:
    """Return the side of the grid at the exchanges: two plain convolutions, three halvings."""
    side = (side - 3) // 2 - 1
    for _ in range(3):
        side = (side + 1) // 2
    return side
