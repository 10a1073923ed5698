"""M2TR: an EfficientNet with four transformer blocks at stride 4, a class and a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    FAKE,
    Batch,
    Detector,
    InputError,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_options,
    create_backbone,
)
from plugins.m2tr.block import Block
from plugins.m2tr.patch_attention import HEADS, SLOPE
from plugins.targets import MapConfig, MapMode

BLOCKS = 4
CUT, STRIDE = 2, 4  # stages before the blocks, and the stride there


@dataclass(frozen=True)
class M2trConfig(MapConfig):
    """The defaults are the paper's, from ImageNet weights."""

    image_size: int = 320
    """Side of the square input in pixels, a multiple of 32; that of the map too."""
    encoder: str = "tf_efficientnet_b4.aa_in1k"
    """An EfficientNet of timm."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    dropout: float = 0.5
    """Dropout before the class."""
    map_weight: float = 1.0
    """Weight of the map's cross-entropy."""
    map_mode: MapMode = "soft"
    """soft: use their values; hard: threshold maps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64, multiple=32)
        check_options(self, "dropout", least=0, below=1)
        check_options(self, "map_weight", least=0)


class Output(NamedTuple):
    """Output of the network for a batch."""

    logits: Tensor  # float32 (B, 2), of real and fake
    map_logits: Tensor  # float32 (B, 1, H, W), at the size of the images


class M2tr(Detector[M2trConfig]):
    """Classifies and maps a face by its patches and its frequencies.

    Images are (B, 3, S, S), standardised as ImageNet, with S a multiple of 32.

    Raises:
        InputError: an encoder that is not an EfficientNet, or weights that are unavailable or do
            not fit.
    """

    gmacs = 15.55
    summary = Summary("Wang et al., ICMR 2022", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="sgd", lr=5e-4, weight_decay=0.01, schedule="cosine", floor=1e-6 / 5e-4
    )
    steps: ClassVar[int] = 11_250  # 20 epochs of 36,000 faces
    batch: ClassVar[int] = 64

    def __init__(self, config: M2trConfig = M2trConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.backbone: Any = create_backbone(config.encoder, config.encoder_weights, num_classes=0)
        width = _width_at_the_cut(self.backbone, config.encoder)
        side = config.image_size // STRIDE
        self.blocks = nn.Sequential(*(Block(width, side) for _ in range(BLOCKS)))
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(self.backbone.num_features, 2)
        self.locate = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            *_convolve(width, width),
            *_convolve(width, width // 2),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            *_convolve(width // 2, width // 2),
            nn.Conv2d(width // 2, 1, 3, padding=1),
        )

    def embed(self, images: Tensor) -> Tensor:
        """Return the features (B, C, S / 4, S / 4) after the last block of images (B, 3, S, S)."""
        features = self.backbone.bn1(self.backbone.conv_stem(images))
        return self.blocks(self.backbone.blocks[:CUT](features))

    def classify_features(self, features: Tensor) -> Tensor:
        """Return logits (B, 2), float32, of the features after the last block."""
        deep = self.backbone.blocks[CUT:](features)
        deep = self.backbone.bn2(self.backbone.conv_head(deep))
        return self.classify(self.dropout(deep.mean(dim=(2, 3)))).float()

    def forward(self, images: Tensor) -> Output:
        """Return the logits of the class and of the map of images (B, 3, S, S)."""
        features = self.embed(images)
        return Output(self.classify_features(features), self.locate(features).float())

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropies of the class and of the map; without maps the first alone."""
        config, output = self.config, self(batch.images)
        terms = {"classification": F.cross_entropy(output.logits, batch.labels)}
        if batch.maps is not None:
            truth = config.read_maps(batch.maps)
            entropy = F.binary_cross_entropy_with_logits(output.map_logits, truth)
            terms["map"] = config.map_weight * entropy
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the face and of each pixel."""
        output = self(images)
        return Prediction(output.logits.softmax(dim=1)[:, FAKE], output.map_logits.sigmoid())


def _width_at_the_cut(backbone: Any, encoder: str) -> int:
    """Return the channels after the stages before the blocks.

    Raises:
        InputError: the encoder is not an EfficientNet that is cut at stride 4.
    """
    levels = getattr(backbone, "feature_info", [])
    widths = [level["num_chs"] for level in levels if level["reduction"] == STRIDE]
    if not hasattr(backbone, "conv_head") or not widths or widths[0] % HEADS:
        raise InputError(f"--options encoder={encoder}: not an EfficientNet of timm")
    return widths[0]


def _convolve(width_in: int, width_out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(width_in, width_out, 3, padding=1), nn.LeakyReLU(SLOPE)
