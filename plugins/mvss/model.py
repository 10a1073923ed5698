"""MVSS-Net: two trunks, an edge branch, and a map whose maximum is the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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
from plugins.bayar import BayarConv
from plugins.losses import dice_losses
from plugins.mvss.dual_attention import DualAttention
from plugins.mvss.edge_branch import EdgeBranch
from plugins.mvss.targets import edge_target
from plugins.mvss.trunk import create_trunk
from plugins.targets import MapConfig, MapMode

GREY = (0.299, 0.587, 0.114)  # BT.601, of red, green and blue


@dataclass(frozen=True)
class MvssConfig(MapConfig):
    """The defaults are the paper's, from ImageNet weights."""

    image_size: int = 512
    """Side of the square input in pixels; the map has a 16th of it."""
    encoder: str = "resnet50"
    """Both trunks: a ResNet of timm."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    width: int = 1024
    """Channels inside the dual attention, a multiple of 8."""
    map_weight: float = 0.16
    """alpha: weight of the map's dice."""
    score_weight: float = 0.04
    """beta: weight of the score's cross-entropy."""
    edge_weight: float = 0.80
    """Weight of the edge's dice."""
    edge_width: float = 7.0
    """Width of the edge target in pixels of an image 512 pixels wide."""
    map_mode: MapMode = "hard"
    """hard: threshold maps; soft: use their values. Edges are always hard."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "width", least=8, multiple=8)
        check_options(self, "map_weight", "score_weight", "edge_weight", least=0)
        check_options(self, "edge_width", least=1)


class Output(NamedTuple):
    """Output of the network for a batch."""

    mask_logits: Tensor  # float32 (B, 1, h, w), a 16th of the input
    edge_logits: Tensor  # float32 (B, 1, h, w), a quarter of the input


class Mvss(Detector[MvssConfig]):
    """Finds manipulated pixels from the image, its noise and its edges; the score is their maximum.

    Images are (B, 3, H, W), standardised as ImageNet, of any size from 64 pixels.

    Raises:
        InputError: a trunk that is not a ResNet, or weights that are unavailable or do not fit.
    """

    maps_without_supervision = True
    gmacs = 166.2
    summary = Summary("Chen et al., ICCV 2021", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(optimizer="adam", lr=1e-4, floor=1e-3)
    steps: ClassVar[int] = 45_000  # 20 epochs of 36,000 faces
    batch: ClassVar[int] = 16
    grey: Tensor

    def __init__(self, config: MvssConfig = MvssConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.trunk = create_trunk(config.encoder, config.encoder_weights)
        self.noise_trunk = create_trunk(config.encoder, config.encoder_weights)
        self.bayar = BayarConv(1, 3)
        widths = self.trunk.feature_info.channels()
        self.edge_branch = EdgeBranch(widths)
        self.head = DualAttention(2 * widths[-1], config.width)
        # Of standardised channels. The mean is left out: the kernels of BayarConv sum to 0.
        grey = torch.tensor(GREY) * torch.tensor(self.input_spec.std)
        self.register_buffer("grey", grey.view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Output:
        """Return the logits of the map and of its edges of images (B, 3, H, W)."""
        levels = self.trunk(images)
        return Output(self._locate(images, levels[-1]), self.edge_branch(levels).float())

    def _locate(self, images: Tensor, deepest: Tensor) -> Tensor:
        grey = (images.float() * self.grey).sum(dim=1, keepdim=True)
        noise = self.noise_trunk(self.bayar(grey))[-1]
        return self.head(torch.cat([deepest, noise], dim=1)).float()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms of map, score and edge; without maps the second alone.

        Those of map and edge are means over the fakes, 0 if there are none.
        """
        config, output = self.config, self(batch.images)
        labels = batch.labels.float()
        highest = output.mask_logits.amax(dim=(1, 2, 3))
        entropy = F.binary_cross_entropy_with_logits(highest, labels)
        terms = {"classification": config.score_weight * entropy}
        if batch.maps is None:
            return terms
        fakes = batch.labels == FAKE
        logits = F.interpolate(
            output.mask_logits, batch.maps.shape[-2:], mode="bilinear", align_corners=False
        )
        truth = config.read_maps(batch.maps)
        terms["map"] = config.map_weight * _mean_over(fakes, dice_losses(logits.sigmoid(), truth))
        size, threshold = output.edge_logits.shape[-2:], config.map_threshold
        truth = edge_target(batch.maps, size, config.edge_width, threshold)
        found = output.edge_logits.sigmoid()
        terms["edge"] = config.edge_weight * _mean_over(fakes, dice_losses(found, truth))
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of each cell of a grid at a 16th of the image's size, and the maximum."""
        maps = self._locate(images, self.trunk(images)[-1]).sigmoid()
        return Prediction(maps.amax(dim=(1, 2, 3)), maps)


def _mean_over(chosen: Tensor, losses: Tensor) -> Tensor:
    """Return the mean of the losses (B,) of the chosen images, 0 if there are none."""
    return losses.masked_fill(~chosen, 0).sum() / chosen.sum().clamp_min(1)
