"""The probe: a minimal detector that measures the benefit of training with a kind of map.

A classifier with a feature pyramid that predicts label and map (FoCus, Fig. 4). It is an ordinary
detector, registered as ``probe``.

Deviations: the paper specifies neither the size of the predicted map nor the optimiser. The map
has a quarter of the input's side (56 x 56 for 224), each pyramid level is smoothed after merging,
so that all of its layers are trained, and the optimiser is Adam, 1e-4, cosine schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from efficientnet_pytorch import EfficientNet
from efficientnet_pytorch.utils import url_map
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url

from focus.backbones import create_backbone, read_tensors
from focus.config import check_options
from focus.errors import InputError
from focus.optim import OptimizerConfig
from focus.types import Batch, InputSpec, Prediction, resize_maps
from plugins import Detector, Summary

EFFICIENTNET = "efficientnet-b4"
LEVELS = (2, 3, 4, 5)  # strides 4, 8, 16 and 32


@dataclass(frozen=True)
class ProbeConfig:
    """Encoder, sizes and weight of the map loss."""

    encoder: str = EFFICIENTNET
    """efficientnet-b4 (from the efficientnet-pytorch package), or any convolutional timm model."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels, a multiple of 32."""
    channels: int = 256
    """Channels of the pyramid."""
    map_weight: float = 0.1
    """Weight of the map's cross-entropy relative to the label's."""

    def __post_init__(self) -> None:
        check_options(self, "image_size", least=32, multiple=32)
        check_options(self, "map_weight", least=0)


class Pyramid(nn.Module):
    """Feature pyramid (Lin et al., CVPR 2017): merge levels of four strides into the finest."""

    def __init__(self, widths: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in widths)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Return (B, channels, H / 4, W / 4) of features ordered from fine to coarse."""
        joined: Tensor | None = None
        steps = zip(levels, self.lateral, self.smooth, strict=True)
        for level, lateral, smooth in reversed(list(steps)):
            here = lateral(level)
            if joined is not None:
                here = here + F.interpolate(joined, here.shape[-2:], mode="nearest")
            joined = smooth(here)
        assert joined is not None
        return joined


class EfficientNetLevels(nn.Module):
    """Feature levels of EfficientNet-B4 from the efficientnet-pytorch package.

    Raises:
        InputError: weights that cannot be loaded or do not fit.
    """

    widths = (32, 56, 160, 448)
    final_width = 1792

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.body: Any = EfficientNet.from_name(EFFICIENTNET, include_top=False)
        if weights == "none":
            return
        tensors = _download() if weights == "timm" else read_tensors(weights)
        tensors = {k: v for k, v in tensors.items() if not k.startswith("_fc.")}
        missing = self.body.load_state_dict(tensors, strict=False).missing_keys
        if missing:
            raise InputError(f"{weights}: lacks {missing[0]} and {len(missing) - 1} more")

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return features of strides 4 to 32, and the classifier's input."""
        ends = self.body.extract_endpoints(images)
        return [ends[f"reduction_{level}"] for level in LEVELS], ends["reduction_6"]


def _download() -> Mapping[str, Tensor]:
    """Return the package's ImageNet weights, from its release or the torch.hub cache."""
    place = url_map[EFFICIENTNET]
    try:
        return load_state_dict_from_url(place, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{EFFICIENTNET}: cannot download its weights ({str(error).splitlines()[0]}); offline, "
            "give --options encoder_weights=FILE, or none for random ones"
        ) from None


class TimmLevels(nn.Module):
    """Feature levels of a convolutional timm model; the classifier uses the deepest one.

    Raises:
        InputError: unknown model, a model without these four strides, or weights that do not fit.
    """

    def __init__(self, encoder: str, weights: str) -> None:
        super().__init__()
        self.body = create_backbone(encoder, weights, features_only=True)
        strides = self.body.feature_info.reduction()
        if strides[-4:] != [4, 8, 16, 32]:
            raise InputError(
                f"--options encoder={encoder}: has features of strides {strides}; the pyramid "
                "needs 4, 8, 16 and 32"
            )
        self.widths = tuple(self.body.feature_info.channels()[-4:])
        self.final_width = self.widths[-1]

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return features of strides 4 to 32, and the classifier's input."""
        levels = self.body(images)[-4:]
        return levels, levels[-1]


class Probe(Detector[ProbeConfig]):
    """Label and map from one encoder: cross-entropy + 0.1 x the map's binary cross-entropy."""

    gmacs = 5.86
    summary = Summary("Tian et al., TIFS 2024, Fig. 4", "score, map", "maps", "ImageNet")
    optimizer = OptimizerConfig("adam", lr=1e-4)
    steps = 30_000
    batch = 32

    def __init__(self, config: ProbeConfig = ProbeConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        plain = config.encoder == EFFICIENTNET
        self.encoder: EfficientNetLevels | TimmLevels = (
            EfficientNetLevels(config.encoder_weights)
            if plain
            else TimmLevels(config.encoder, config.encoder_weights)
        )
        self.pyramid = Pyramid(tuple(self.encoder.widths), config.channels)
        self.map_head = nn.Sequential(
            nn.Conv2d(config.channels, config.channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.channels, 1, 1),
        )
        self.label_head = nn.Sequential(nn.Dropout(0.4), nn.Linear(self.encoder.final_width, 2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2) of real and fake, and map logits (B, 1, H / 4, W / 4)."""
        levels, final = self.encoder(images)
        logits = self.label_head(final.mean(dim=(2, 3)))
        return logits.float(), self.map_head(self.pyramid(levels)).float()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross-entropy of the label and, with maps, of the map (Fig. 4)."""
        logits, map_logits = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            target = resize_maps(batch.maps, map_logits.shape[-2:])
            terms["map"] = self.config.map_weight * F.binary_cross_entropy_with_logits(
                map_logits, target
            )
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) (B,) and maps (B, 1, H / 4, W / 4)."""
        logits, map_logits = self(images)
        return Prediction(logits.softmax(dim=1)[:, 1], map_logits.sigmoid())
