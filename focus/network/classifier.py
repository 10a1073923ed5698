"""A plain real/fake classifier, the baseline for class activation maps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focus.detectors import Summary
from focus.network.carp import CLASSES
from focus.network.encoder import Encoder, EncoderConfig
from focus.pretrained.mixin import Pretrained
from focus.types import Batch, InputSpec, Prediction


class Classifier(Pretrained):
    """One encoder, the mean of its tokens, and a linear layer to the logits of real and fake.

    Images are (B, 3, H, W), float in [0, 1].
    """

    natural_layer = "encoder"
    gmacs = 4.57
    summary = Summary("any timm model", "score", "labels alone", "ImageNet")
    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig = EncoderConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.head = nn.Linear(self.encoder.dim, CLASSES)
        self.input_spec = InputSpec(image_size=config.image_size)
        self.register_buffer("mean", torch.tensor(self.encoder.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(self.encoder.std).view(1, 3, 1, 1))

    def tokens(self, images: Tensor) -> Tensor:
        """Return the encoder's tokens (B, h * w, D)."""
        return self.encoder((images - self.mean) / self.std)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 2)."""
        return self.classify(self.tokens(images))

    def classify(self, tokens: Tensor) -> Tensor:
        """Return logits (B, 2) of tokens (B, h * w, D)."""
        return self.head(tokens.mean(dim=1))

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropy."""
        return {"classification": F.cross_entropy(self(batch.images).float(), batch.labels)}

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake); no maps."""
        return Prediction(self(images).float().softmax(dim=1)[:, 1], None)
