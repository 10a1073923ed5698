"""GFFD: an RGB and a noise-residual Xception that guide each other.

Y. Luo et al., "Generalizing Face Forgery Detection with High-frequency Features", CVPR 2021.
Written from a description of the method; no code of its authors is used. 53.3 M parameters at the
defaults (53,255,122).

Deviations, and choices where the description is silent:

* the residuals are :func:`focus.modalities.srm`'s: of the 0 to 255 scale, where a clamp at 3 means
  something, with replicated borders;
* residuals of the RGB stream's features (each channel apart, then a 1 x 1 convolution, BN, ReLU)
  join the other stream after both convolutions of the entry flow: the multi-scale extraction;
* the keys of each stream come from two 1 x 1 convolutions to an eighth of the channels, without
  sharing (which meets the known parameter count); the streams exchange after blocks 3 and 7, with
  a learnable weight that starts at 0;
* fusion: 1 x 1 convolution, BN, ReLU, plus itself times a channel attention of ratio 16;
* ``steps`` are 10 epochs of 72,000 faces (720 videos of five kinds, 20 frames each); no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focus.backbones import create_backbone
from focus.config import check_options
from focus.detectors import Trainable
from focus.modalities import SRM_CLAMP, srm, srm_kernels
from focus.network.maps import minmax
from focus.optim import OptimizerConfig
from focus.types import FAKE, Batch, InputSpec, Prediction

MIDDLE, DEEP = 728, 2048  # channels of Xception after block 3, and at its end
KEY_RATIO, ATTENTION_RATIO = 8, 16
EXCHANGES, BLOCKS = (3, 7), 12  # blocks after which the streams exchange, of so many
MEAN = STD = 0.5


@dataclass(frozen=True)
class GffdConfig:
    """The network and its loss; the defaults are the paper's."""

    encoder_weights: str = "timm"
    """For both Xceptions: a file (safetensors or a tensors-only .pth), 'timm', or 'none'."""
    image_size: int = 256
    """Side of the square input in pixels; trained weights fit the size they were trained at."""
    scale: float = 30.0
    """s of the AM-softmax."""
    margin: float = 0.5
    """m of the AM-softmax: what is taken from the cosine of the true class."""

    def __post_init__(self) -> None:
        check_options(self, "image_size", least=64)
        check_options(self, "scale", above=0)
        check_options(self, "margin", least=0)


class Output(NamedTuple):
    """What the network says of a batch."""

    cosines: Tensor  # (B, 2): between the face and the directions of real and fake, float32
    attention: Tensor  # (B, 1, h, w) in (0, 1): the residual-guided spatial attention, float32


class Gffd(Trainable):
    """Two-stream detector; its map is the attention that the residuals give the RGB stream.

    Images come in as (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: Xceptions that cannot be built, or weights that do not fit them.
    """

    draws_untaught = True
    optimizer = OptimizerConfig(optimizer="adam", lr=2e-4, weight_decay=5e-4, schedule="constant")
    steps = 22_500
    batch = 32

    def __init__(self, config: GffdConfig = GffdConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(config.image_size, mean=(MEAN,) * 3, std=(STD,) * 3)
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
            residual = srm(images.float() * STD + MEAN)  # (B, 3, H, W)
        attention = self.attention(residual)
        rgb, noise = self._enter(images, residual, attention)
        exchanges = iter(self.exchanges)
        for number in range(1, BLOCKS + 1):
            rgb = getattr(self.rgb, f"block{number}")(rgb)
            noise = getattr(self.noise, f"block{number}")(noise)
            if number in EXCHANGES:
                rgb, noise = next(exchanges)(rgb, noise)
        features = self.fusion(_leave(self.rgb, rgb), _leave(self.noise, noise))
        return Output(self._compare(features.mean(dim=(2, 3))), attention.float())

    def _enter(self, images: Tensor, residual: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Run the entry flow's convolutions: (B, 64, h, w) of both streams."""
        rgb = self.rgb.act1(self.rgb.bn1(self.rgb.conv1(images)))
        noise = self.noise.act1(self.noise.bn1(self.noise.conv1(residual)))
        noise = F.relu(noise + self.residuals[0](rgb))
        rgb = self.rgb.act2(self.rgb.bn2(self.rgb.conv2(rgb)))
        noise = self.noise.act2(self.noise.bn2(self.noise.conv2(noise)))
        noise = F.relu(noise + self.residuals[1](rgb))
        return self.attended(rgb * (1 + attention)), noise

    def _compare(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            features = F.normalize(features.float(), dim=1)
            return F.linear(features, F.normalize(self.classes.weight, dim=1))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the AM-softmax."""
        cosines = self(batch.images).cosines
        return {
            "classification": am_softmax(
                cosines, batch.labels, self.config.scale, self.config.margin
            )
        }

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the attention in [0, 1] times P(fake), and it as it was."""
        output = self(images)
        scores = (self.config.scale * output.cosines).softmax(dim=1)[:, FAKE]
        maps = minmax(output.attention) * scores[:, None, None, None]
        return Prediction(scores, maps, {"raw": output.attention})


class ResidualAttention(nn.Module):
    """Where the residuals are telling: two convolutions, channel mean and maximum, a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.merge = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, residual: Tensor) -> Tensor:
        """Return attention (B, 1, h, w) in (0, 1) of residuals (B, 3, H, W)."""
        features = self.layers(residual)
        mean, most = features.mean(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)
        return self.merge(torch.cat([mean, most], dim=1)).sigmoid()


class FeatureResidual(nn.Module):
    """The three SRM residuals of every channel, merged to as many channels as came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(
            nn.Conv2d(3 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C, h, w) of features (B, C, h, w)."""
        return self.merge(channel_residuals(features))


class CrossModalAttention(nn.Module):
    """Each stream receives the other's values where both agree (dual cross-modal attention).

    Args:
        channels: of both streams.
        cells: h * w of the grid; the similarities pass a linear layer of this width.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        keys = channels // KEY_RATIO
        self.keys = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, keys, 1), nn.Conv2d(keys, keys, 1)) for _ in range(2)
        )
        self.mixing = nn.ModuleList(nn.Linear(cells, cells) for _ in range(2))
        self.values = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.weights = nn.Parameter(torch.zeros(2))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return both streams (B, C, h, w), each with what it took from the other."""
        keys = [key(x).flatten(2) for key, x in zip(self.keys, (first, second), strict=True)]
        energy = keys[0].transpose(1, 2) @ keys[1]  # (B, N, N): rows first, columns second
        from_second = self.mixing[0](energy).softmax(dim=-1)
        from_first = self.mixing[1](energy.transpose(1, 2)).softmax(dim=-1)
        taken = self.values[1](second).flatten(2) @ from_second.transpose(1, 2)  # (B, C, N)
        given = self.values[0](first).flatten(2) @ from_first.transpose(1, 2)
        return (
            first + self.weights[0] * taken.view_as(first),
            second + self.weights[1] * given.view_as(second),
        )


class Fusion(nn.Module):
    """Both streams to one, plus itself times a channel attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        narrow = channels // ATTENTION_RATIO
        self.attention = nn.Sequential(
            nn.Linear(channels, narrow, bias=False),
            nn.ReLU(),
            nn.Linear(narrow, channels, bias=False),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, C, h, w) of two streams of that shape."""
        merged = self.merge(torch.cat([first, second], dim=1))
        pooled = merged.mean(dim=(2, 3)), merged.amax(dim=(2, 3))
        weights = (self.attention(pooled[0]) + self.attention(pooled[1])).sigmoid()
        return merged * (1 + weights[:, :, None, None])


def channel_residuals(features: Tensor) -> Tensor:
    """Return the SRM residuals (B, 3 C, h, w), three after each other, of features (B, C, h, w)."""
    features = features.float()  # in eight bits the kernels would no longer sum to 0
    channels = features.shape[1]
    kernels = srm_kernels(features.device, features.dtype).repeat(channels, 1, 1, 1)
    padded = F.pad(features, (2, 2, 2, 2), mode="replicate")
    with torch.autocast(features.device.type, enabled=False):
        return F.conv2d(padded, kernels, groups=channels).clamp(-SRM_CLAMP, SRM_CLAMP)


def am_softmax(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Return the additive-margin softmax: cross-entropy of s * (cos - m on the true class).

    Args:
        cosines: (B, 2) in [-1, 1].
        labels: int64 (B,).
        scale: s.
        margin: m.
    """
    return F.cross_entropy(scale * (cosines - margin * F.one_hot(labels, 2)), labels)


def _create_stream(config: GffdConfig) -> nn.Module:
    return create_backbone("legacy_xception", config.encoder_weights, num_classes=0)


def _leave(stream: Any, features: Tensor) -> Tensor:
    """Run Xception's last two convolutions."""
    features = stream.act3(stream.bn3(stream.conv3(features)))
    return stream.act4(stream.bn4(stream.conv4(features)))


def _grid(side: int) -> int:
    """Return the side of the grid at the exchanges: two plain convolutions, three halvings."""
    side = (side - 3) // 2 - 1
    for _ in range(3):
        side = (side + 1) // 2
    return side
