"""PCL: one backbone, a consistency volume from its third stage, a class from its fourth."""

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
from plugins.pcl.consistency import ConsistencyBranch, inconsistency_with_border
from plugins.targets import MapConfig, MapMode, consistency_volume


@dataclass(frozen=True)
class PCLConfig(MapConfig):
    """The defaults are the paper's, with soft maps."""

    image_size: int = 256
    """Side of the square input in pixels; the grid of the volume has a sixteenth of it."""
    encoder: str = "resnet34.tv_in1k"
    """Any timm model whose last two feature levels have strides 16 and 32."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    consistency_weight: float = 10.0
    """Weight of the consistency loss relative to the classification."""
    map_mode: MapMode = "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "consistency_weight", least=0)


class PCL(Detector[PCLConfig]):
    """Classifies a face, and predicts for every two of its cells whether they share a source.

    Images are (B, 3, H, W), standardised as ImageNet.

    Raises:
        InputError: a backbone that cannot be built, or unavailable weights.
    """

    gmacs = 4.8
    summary = Summary("Zhao et al., ICCV 2021", "score, inconsistency as map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=5e-5, schedule="linear", warmup=0.25
    )
    steps: ClassVar[int] = 42_188  # 150 epochs of 36,000 faces
    batch: ClassVar[int] = 128

    def __init__(self, config: PCLConfig = PCLConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.backbone = create_backbone(
            config.encoder, config.encoder_weights, features_only=True, out_indices=(-2, -1)
        )
        source, deepest = self.backbone.feature_info.channels()
        self.consistency = ConsistencyBranch(source)
        self.classifier = nn.Linear(deepest, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2) of real and fake, and of the consistency (B, h, w, h, w)."""
        source, deepest = self.backbone(images)
        return self.classifier(deepest.mean(dim=(2, 3))).float(), self.consistency(source)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return L = CE + 10 BCE(V_hat, V), the latter over all entries of the volume."""
        logits, volume = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            truth = consistency_volume(self.config.read_maps(batch.maps), volume.shape[1:3])
            found = F.binary_cross_entropy_with_logits(volume, truth)
            terms["consistency"] = self.config.consistency_weight * found
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), and P(fake) times each cell's inconsistency with the grid's border."""
        logits, volume = self(images)
        scores = logits.softmax(dim=1)[:, 1]
        maps = inconsistency_with_border(volume.sigmoid())
        return Prediction(scores, scores[:, None, None, None] * maps)
