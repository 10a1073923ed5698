"""MSCCNet: a dilated ResNet-50, MFA, MSCC, and a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    Batch,
    Detector,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_options,
    create_backbone,
)
from plugins.msccnet.mfa import MultiLevelAggregation, convolve
from plugins.msccnet.mscc import CLASSES, DctBases, MultiSpectralClassCenter
from plugins.targets import MapConfig, pixel_cross_entropy


@dataclass(frozen=True)
class MSCCNetConfig(MapConfig):
    """The defaults are the paper's."""

    image_size: int = 512
    """Side of the square input in pixels; the map has an eighth of it."""
    encoder: str = "resnet50c"
    """Any timm model with three feature levels at output stride 8."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    width: int = 512
    """Channels of MFA, MSCC and the decoder."""
    dct_bases: DctBases = "paper4"
    """The paper's four bases, or the 64 of the released code."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "width", least=64, multiple=64)


class MSCCNet(Detector[MSCCNetConfig]):
    """Classifies a face and each of its pixels through class centres under DCT bases.

    Images are (B, 3, H, W), standardised as ImageNet, of any size.

    Raises:
        InputError: a backbone that cannot be built, or unavailable weights.
    """

    gmacs = 218.6
    summary = Summary("Miao et al., 2023", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="sgd", lr=9e-3, weight_decay=5e-4, schedule="poly", power=0.9, floor=0.01
    )
    steps: ClassVar[int] = 67_350  # 30 epochs of 143,724 images
    batch: ClassVar[int] = 64

    def __init__(self, config: MSCCNetConfig = MSCCNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.backbone = create_backbone(
            config.encoder,
            config.encoder_weights,
            features_only=True,
            out_indices=(-3, -2, -1),
            output_stride=8,
        )
        channels, width = self.backbone.feature_info.channels(), config.width
        self.classifier = nn.Linear(channels[-1], CLASSES)
        self.aggregation = MultiLevelAggregation(channels, width)
        self.centers = MultiSpectralClassCenter(width, config.dct_bases)
        self.decoder = nn.Sequential(
            convolve(width, width, kernel=1), nn.Dropout2d(0.1), nn.Conv2d(width, CLASSES, 1)
        )

    def classify(self, deepest: Tensor) -> Tensor:
        """Return logits (B, 2) of real and fake of the deepest features."""
        return self.classifier(deepest.mean(dim=(2, 3))).float()

    def localise(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the pixels' logits (B, 2, h, w) and the coarse ones of MSCC."""
        refined, coarse = self.centers(self.aggregation(levels))
        return self.decoder(refined).float(), coarse

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return L = CE(P2, y) + CE(P1, M) + CE(P'_A, M), the latter two over all pixels."""
        levels = self.backbone(batch.images)
        terms = {"classification": F.cross_entropy(self.classify(levels[-1]), batch.labels)}
        if batch.maps is not None:
            mode, threshold = self.config.map_mode, self.config.map_threshold
            for name, logits in zip(("mask", "coarse"), self.localise(levels), strict=True):
                terms[name] = pixel_cross_entropy(logits, batch.maps, mode, threshold)
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the image, and of each cell of the grid."""
        levels = self.backbone(images)
        scores = self.classify(levels[-1]).softmax(dim=1)[:, 1]
        logits, _ = self.localise(levels)
        return Prediction(scores, logits.softmax(dim=1)[:, 1:])
