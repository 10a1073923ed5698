"""SLADD's head: Xception, a map at stride 16, and the additive-margin softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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
)
from plugins.losses import am_softmax, cosines
from plugins.targets import MapConfig, MapMode, area_average
from plugins.xception import DEEPEST, WIDTH, split_xception

MAPPED = 11  # block under the map


@dataclass(frozen=True)
class SladdHeadConfig(MapConfig):
    """The defaults are the paper's, from ImageNet weights."""

    image_size: int = 256
    """Side of the square input in pixels."""
    encoder_weights: str = "timm"
    """Xception's: a file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    scale: float = 30.0
    """s of the AM-softmax: factor of the cosines."""
    margin: float = 0.45
    """m of the AM-softmax: margin subtracted from the cosine of the true class."""
    map_weight: float = 0.1
    """Weight of the map's squared error."""
    map_mode: MapMode = "soft"
    """soft: use their values; hard: threshold maps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "scale", above=0)
        check_options(self, "margin", "map_weight", least=0)


class Output(NamedTuple):
    """Output of the network for a batch."""

    cosines: Tensor  # float32 (B, 2), with real and fake
    map_logits: Tensor  # float32 (B, 1, h, w), at stride 16


class SladdHead(Detector[SladdHeadConfig]):
    """Classifies a face by the cosine with two class vectors, and maps it on a coarse grid.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5, of any size from 64
    pixels.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    gmacs = 5.95
    summary = Summary("Chen et al., CVPR 2022 (head only)", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=2e-4, weight_decay=5e-5, schedule="constant"
    )
    steps: ClassVar[int] = 22_500  # 20 epochs of 36,000 faces
    batch: ClassVar[int] = 32

    def __init__(self, config: SladdHeadConfig = SladdHeadConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.before, self.behind, _ = split_xception(MAPPED, config.encoder_weights)
        # Features of a residual stream are large: without the norm the sigmoid saturates.
        self.locate = nn.Sequential(nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, 1, 1))
        self.classes = nn.Linear(DEEPEST, 2, bias=False)

    def forward(self, images: Tensor) -> Output:
        """Return class cosines and map logits of images (B, 3, H, W)."""
        features = self.before(images)
        found = cosines(self.behind(features).mean(dim=(2, 3)), self.classes.weight)
        return Output(found, self.locate(features).float())

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the AM-softmax and the map's squared error; without maps the first alone."""
        config, output = self.config, self(batch.images)
        loss = am_softmax(output.cosines, batch.labels, config.scale, config.margin)
        terms = {"classification": loss}
        if batch.maps is not None:
            cells = area_average(config.read_maps(batch.maps), output.map_logits.shape[-2:])
            terms["map"] = config.map_weight * F.mse_loss(output.map_logits.sigmoid(), cells)
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the face, and of each cell of a grid at a 16th of its size."""
        output = self(images)
        scores = (self.config.scale * output.cosines).softmax(dim=1)[:, FAKE]
        return Prediction(scores, output.map_logits.sigmoid())
