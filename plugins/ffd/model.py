"""FFD: the class of a face, and the map that its features are multiplied by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

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
from plugins.ffd.network import AttentiveXception
from plugins.targets import MapConfig, MapMode, area_average


@dataclass(frozen=True)
class FFDConfig(MapConfig):
    """The defaults are those of the released code, from ImageNet weights."""

    image_size: int = 299
    """Side of the square input in pixels; the map has about a sixteenth of it."""
    encoder_weights: str = "timm"
    """Xception's: a file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    after: Literal[4, 7] = 7
    """Block that the map follows: 7 as in the code, 4 as in the paper."""
    map_weight: float = 1.0
    """Weight of the map's loss, supervised or not."""
    map_mode: MapMode = "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "map_weight", least=0)


class FFD(Detector[FFDConfig]):
    """Classifies a face by its features under the map of its manipulated area.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5, of any size from 64 pixels.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    maps_without_supervision = True
    gmacs = 8.4
    summary = Summary(
        "Dang et al., CVPR 2020", "score, attention as map", "maps, or labels alone", "ImageNet"
    )
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=1e-4, weight_decay=1e-3, schedule="constant"
    )
    steps: ClassVar[int] = 100_000
    batch: ClassVar[int] = 30

    def __init__(self, config: FFDConfig = FFDConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.network = AttentiveXception(config.after, config.encoder_weights)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropy, and the distance of the map from its target or its label."""
        config = self.config
        logits, map_logits = self.network(batch.images)
        if batch.maps is None:
            highest = map_logits.amax(dim=(1, 2, 3))
            found = F.binary_cross_entropy_with_logits(highest, batch.labels.float())
        else:
            maps = config.read_maps(batch.maps)
            found = F.l1_loss(map_logits.sigmoid(), area_average(maps, map_logits.shape[-2:]))
        classification = F.cross_entropy(logits, batch.labels)
        return {"classification": classification, "map": config.map_weight * found}

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), and the map on its native grid."""
        logits, map_logits = self.network(images)
        return Prediction(logits.softmax(dim=1)[:, FAKE], map_logits.sigmoid())
