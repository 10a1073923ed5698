"""Multi-task: the activations of two halves, and what is decoded from one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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
from plugins.multitask.network import STRIDE, Autoencoder
from plugins.targets import MapConfig, pixel_cross_entropy


@dataclass(frozen=True)
class MultitaskConfig(MapConfig):
    """The defaults are those of the released code."""

    image_size: int = 256
    """Side of the square input in pixels, a multiple of 16."""
    map_weight: float = 1.0
    """Weight of the map's cross-entropy."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstructed image's squared error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=STRIDE, multiple=STRIDE)
        check_options(self, "map_weight", "reconstruction_weight", least=0)


class Output(NamedTuple):
    """Output of the network for a batch, float32."""

    activations: Tensor  # (B, 2): of real and fake, at least 0
    map_logits: Tensor  # (B, 2, H, W): of real and fake
    images: Tensor  # (B, 3, H, W) in [-1, 1]: reconstructed


class Multitask(Detector[MultitaskConfig]):
    """Classifies a face by which half of its code is active, and decodes its map from this half.

    Images are (B, 3, H, W), standardised as ImageNet, H and W multiples of 16.
    """

    gmacs = 0.32
    summary = Summary("Nguyen et al., BTAS 2019", "score, map", "maps", "random weights")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=1e-3, weight_decay=5e-4, schedule="constant"
    )
    steps: ClassVar[int] = 56_250  # 100 epochs of 36,000 faces
    batch: ClassVar[int] = 64

    def __init__(self, config: MultitaskConfig = MultitaskConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.autoencoder = Autoencoder()

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Output:
        """Return activations, and map and image of the labels' halves, else of the active ones.

        Args:
            images: (B, 3, H, W).
            labels: int64 (B,), 0 or 1; None chooses the half with the larger activation.
        """
        halves, activations = self.autoencoder.encode(images)
        chosen = activations.argmax(dim=1) if labels is None else labels
        return Output(activations, *self.autoencoder.decode(halves, chosen))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the errors of activations, reconstruction, and with maps of the map."""
        config, output = self.config, self(batch.images, batch.labels)
        wanted = F.one_hot(batch.labels, 2).float()
        colours = self.input_spec.restore(batch.images) * 2 - 1
        terms = {
            "activation": (output.activations - wanted).abs().sum(dim=1).mean(),
            "reconstruction": config.reconstruction_weight * F.mse_loss(output.images, colours),
        }
        if batch.maps is not None:
            mode, threshold = config.map_mode, config.map_threshold
            found = pixel_cross_entropy(output.map_logits, batch.maps, mode, threshold)
            terms["map"] = config.map_weight * found
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the activations, and of each pixel."""
        output = self(images)
        scores = output.activations.softmax(dim=1)[:, FAKE]
        return Prediction(scores, output.map_logits.softmax(dim=1)[:, FAKE:])
