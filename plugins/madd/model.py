"""MaDD: an EfficientNet, its attentions, and the texture and features that they pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    Batch,
    Detector,
    InputError,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_options,
    create_backbone,
    minmax,
)
from plugins.madd.attention import AttentionHead
from plugins.madd.augmentation import draw_attention, drop_attended
from plugins.madd.independence import RegionIndependence
from plugins.madd.padding import pad_as_even
from plugins.madd.pooling import pool, standardise
from plugins.madd.texture_enhancement import TextureEnhancement

TEXTURE, ATTENTION = 1, 3  # indices of b2 and b5 among the levels of timm
PROJECTION = 256
ENCODER = {"drop_path_rate": 0.2, "bn_momentum": 0.01}  # as released


@dataclass(frozen=True)
class MultiAttentionConfig:
    """The network, its losses and its map; the defaults are the paper's."""

    encoder: str = "tf_efficientnet_b4.ap_in1k"
    """A timm EfficientNet with TensorFlow padding (tf_efficientnet_...)."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 380
    """Side of the square input in pixels."""
    attentions: int = 4
    """M, number of attention maps."""
    map: str = "sum"
    """Reduction of attentions to one map: sum, max, or the index of one attention."""
    independence_weight: float = 0.5
    """Weight of the region-independence loss."""
    drop_weight: float = 1.0
    """Weight of the cross-entropy on attention-guided dropped images."""
    match_weight: float = 0.1
    """Weight of the match between features with and without the drop."""
    decay_steps: int = 4800
    """Steps after which the centres' momentum is multiplied by 0.9: the paper's epoch."""

    def __post_init__(self) -> None:
        if not self.encoder.startswith("tf_efficientnet"):
            raise InputError(f"--options encoder={self.encoder}: use a tf_efficientnet of timm")
        check_options(self, "image_size", least=64)
        check_options(self, "attentions", "decay_steps", least=1)
        if self.map not in ("sum", "max", *map(str, range(self.attentions))):
            last = self.attentions - 1
            raise InputError(
                f"--options map={self.map}: use sum, max, or a number from 0 to {last}"
            )
        weights = ("independence_weight", "drop_weight", "match_weight")
        check_options(self, *weights, least=0)


class Output(NamedTuple):
    """Output of the network for a batch."""

    logits: Tensor  # (B, 2): real, fake
    attentions: Tensor  # (B, M, h, w), at least 0, unbounded
    regional: Tensor  # (B, M, C): local means of the texture level, pooled by each attention


class MultiAttention(Detector[MultiAttentionConfig]):
    """Multi-attentional detector; its map is the sum of its attentions.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: an encoder that cannot be built, or weights that do not fit it.
    """

    maps_without_supervision = True
    normalisation = "class_minmax"
    gmacs = 7.3
    summary = Summary(
        "Zhao et al., CVPR 2021", "score, attention as map", "labels alone", "ImageNet"
    )
    optimizer = OptimizerConfig(
        optimizer="adamw",
        lr=1e-4,
        weight_decay=1e-6,
        schedule="steps",
        factors=tuple((tenth / 10, 0.5**tenth) for tenth in range(1, 10)),
    )
    steps = 240_000
    batch = 15

    def __init__(self, config: MultiAttentionConfig = MultiAttentionConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.encoder: Any = create_backbone(
            config.encoder, config.encoder_weights, num_classes=0, **ENCODER
        )
        pad_as_even(self.encoder)
        levels, count = self.encoder.feature_info, config.attentions
        channels = levels[TEXTURE]["num_chs"]
        self.attention = AttentionHead(levels[ATTENTION]["num_chs"], count)
        self.texture = TextureEnhancement(channels, count)
        self.independence = RegionIndependence(count, channels, config.decay_steps)
        self.project_texture = nn.Sequential(
            nn.Linear(count * channels, PROJECTION),
            nn.Hardswish(),
            nn.Linear(PROJECTION, PROJECTION),
            nn.Hardswish(),
        )
        self.project_final = nn.Sequential(
            nn.Linear(self.encoder.num_features, PROJECTION), nn.Hardswish()
        )
        self.classifier = nn.Sequential(
            nn.Linear(2 * PROJECTION, PROJECTION), nn.Hardswish(), nn.Linear(PROJECTION, 2)
        )

    def forward(self, images: Tensor) -> Output:
        """Return logits, attentions and regional features of images (B, 3, H, W)."""
        final, (level, deep) = self.encoder.forward_intermediates(
            images, indices=(TEXTURE, ATTENTION)
        )
        attentions = self.attention(deep)  # (B, M, h, w)
        texture, smooth = self.texture(level, attentions)
        textural = F.normalize(pool(texture, attentions), dim=-1)  # (B, M, C)
        regional = F.normalize(pool(standardise(smooth), attentions), dim=-1)  # (B, M, C)
        whole = pool(final, attentions.sum(dim=1, keepdim=True))[:, 0]
        joined = torch.cat(
            [self.project_texture(textural.flatten(1)), self.project_final(whole)], dim=1
        )
        return Output(self.classifier(joined).float(), attentions, regional)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross-entropy, region independence, and both terms of the attended drop."""
        config, output = self.config, self(batch.images)
        chosen = draw_attention(output.attentions)
        rows = torch.arange(len(chosen), device=chosen.device)
        dropped = self(drop_attended(batch.images, output.attentions[rows, chosen][:, None]))
        distance = torch.linalg.vector_norm(output.regional - dropped.regional, dim=-1)  # (B, M)
        kept = 1 - F.one_hot(chosen, config.attentions)
        independence = self.independence(output.regional, batch.labels)
        return {
            "classification": F.cross_entropy(output.logits, batch.labels),
            "independence": config.independence_weight * independence,
            "dropped": config.drop_weight * F.cross_entropy(dropped.logits, batch.labels),
            "match": config.match_weight * (distance * kept).mean(),
        }

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the merged attention in [0, 1] times P(fake), and the raw one."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, 1]
        attentions = output.attentions
        if self.config.map == "sum":
            raw = attentions.sum(dim=1, keepdim=True)
        elif self.config.map == "max":
            raw = attentions.amax(dim=1, keepdim=True)
        else:
            raw = attentions[:, int(self.config.map)][:, None]
        return Prediction(scores, minmax(raw) * scores[:, None, None, None], {"raw": raw})
