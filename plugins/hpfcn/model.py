"""HPFCN: high-pass residuals, and the class of the image and of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

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
from plugins.hpfcn.network import STRIDE, Body, HighPass, Upsampling, upsample
from plugins.targets import MapConfig

GAMMA = 2.0


@dataclass(frozen=True)
class HPFCNConfig(MapConfig):
    """The defaults are the paper's, but for the upsampling."""

    image_size: int = 256
    """Side of the square input in pixels, a multiple of 16."""
    width: int = 32
    """Channels of the first bottlenecks; the last features have 32 times as many."""
    upsampling: Upsampling = "mixed"
    """mixed: 1 x 1 convolutions, then bilinear; code: transposed, whose channels stay equal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=32, multiple=STRIDE)
        check_options(self, "width", least=1)


class HPFCN(Detector[HPFCNConfig]):
    """Classifies a face and each of its pixels by differences between neighbouring pixels.

    Images are (B, 3, H, W) in [0, 1], H and W multiples of 16.
    """

    gmacs = 7.58
    summary = Summary("Li and Huang, ICCV 2019", "score, map", "maps", "random weights")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam",
        lr=1e-4,
        weight_decay=1e-5,
        schedule="steps",
        factors=tuple((tenth / 10, 0.5**tenth) for tenth in range(1, 10)),
    )
    steps: ClassVar[int] = 15_000  # 10 epochs of 36,000 faces
    batch: ClassVar[int] = 24

    def __init__(self, config: HPFCNConfig = HPFCNConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(config.image_size)
        self.high_pass = HighPass()
        self.body = Body(config.width)
        self.pixels = upsample(self.body.outputs, config.upsampling)
        self.classifier = nn.Linear(self.body.outputs, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32 logits of real and fake: (B, 2), and (B, 2, H, W) of the pixels."""
        features = self.body(self.high_pass(images))
        logits = self.classifier(features.mean(dim=(2, 3)))
        return logits.float(), self.pixels(features).float()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropy of the image, and the focal loss of the pixels."""
        logits, pixels = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            terms["map"] = focal_loss(pixels, self.config.class_probabilities(batch.maps))
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the image, and of each pixel."""
        logits, pixels = self(images)
        return Prediction(logits.softmax(dim=1)[:, FAKE], pixels.softmax(dim=1)[:, FAKE:])


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the mean focal loss of logits (B, C, ...) with class probabilities of that shape."""
    logs = logits.log_softmax(dim=1)
    return -(truth * (1 - logs.exp()) ** GAMMA * logs).sum(dim=1).mean()
