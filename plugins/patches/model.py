"""Patches: features on a grid, and a real or fake decision in each cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    FAKE,
    REAL,
    Batch,
    Detector,
    GridConfig,
    InputError,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_options,
)
from plugins.patches.backbone import XCEPTION, TokenPlanes, TruncatedXception, initialise
from plugins.targets import MapConfig, area_average

Reduction = Literal["cells", "mean", "max"]


@dataclass(frozen=True)
class PatchesConfig(MapConfig, GridConfig):
    """The defaults are the paper's, from ImageNet weights."""

    encoder: str = XCEPTION
    """legacy_xception, cut after ``block``, or any other timm model with a token grid."""
    image_size: int = 299
    """Side of the square input in pixels."""
    output_stride: Literal[8, 16, 32] = 16
    """Convolutional encoders except legacy_xception: input pixels per cell, where available."""
    stage: int = -1
    """Convolutional encoders except legacy_xception: feature level to use (-1: the deepest)."""
    block: Literal[1, 2, 3, 4] = 2
    """legacy_xception: last block; with each one a cell sees more pixels: 19, 43, 91, 187."""
    reduction: Reduction = "cells"
    """Loss of labels: at every cell, of the mean of the cells' probabilities, or at the cell of the
    largest margin of fake over real."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=32)
        if self.encoder == XCEPTION and self.stage != -1:
            raise InputError(f"--options stage={self.stage}: {XCEPTION} is cut by block=1 to 4")


class Patches(Detector[PatchesConfig]):
    """Classifies every cell of a face from the pixels around it; the face by their mean.

    Images are (B, 3, H, W), standardised as the encoder's weights require: mean and deviation 0.5
    for Xception, which takes any size.

    Raises:
        InputError: an encoder that cannot be built, or unavailable weights.
    """

    maps_without_supervision = True
    gmacs = 1.63
    summary = Summary(
        "Chai et al., ECCV 2020",
        "mean score of cells, their scores as map",
        "labels alone, or maps",
        "ImageNet",
    )
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=1e-3, schedule="constant"
    )
    steps: ClassVar[int] = 50_000
    batch: ClassVar[int] = 64
    seen: Tensor

    def __init__(self, config: PatchesConfig = PatchesConfig()) -> None:
        super().__init__()
        self.config = config
        self.backbone: TruncatedXception | TokenPlanes = (
            TruncatedXception(config.block, config.encoder_weights)
            if config.encoder == XCEPTION
            else TokenPlanes(config)
        )
        self.input_spec = InputSpec(
            config.image_size, mean=self.backbone.mean, std=self.backbone.std
        )
        self.cells = nn.Conv2d(self.backbone.dim, 2, 1)
        initialise(self.cells)
        # Real and fake faces in training without maps.
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits (B, 2, h, w) of real and fake in each cell."""
        return self.cells(self.backbone(images)).float()

    @property
    def prior(self) -> Tensor:
        """log(fakes / reals) of the training batches, a scalar; one of each is added."""
        logs = (self.seen + 1).float().log()
        return logs[FAKE] - logs[REAL]

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropy of the cells with their share of the map, or with the label."""
        logits = self(batch.images)
        if batch.maps is not None:
            pixels = self.config.class_probabilities(batch.maps)
            return {"map": F.cross_entropy(logits, area_average(pixels, logits.shape[-2:]))}
        if self.training:
            self.seen += torch.stack([(batch.labels == label).sum() for label in (REAL, FAKE)])
        return {"classification": _LOSSES[self.config.reduction](logits.flatten(2), batch.labels)}

    def predict(self, images: Tensor) -> Prediction:
        """Return the mean of the cells' P(fake), and P(fake) of each cell."""
        real, fake = self(images).split(1, dim=1)
        maps = (fake - real - self.prior).sigmoid()
        return Prediction(maps.mean(dim=(1, 2, 3)), maps)


def _at_every_cell(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (B, 2, N) with the labels (B,) of their images."""
    return F.cross_entropy(logits, labels[:, None].expand(-1, logits.shape[2]))


def _of_the_mean(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the mean of the cells' probabilities."""
    total = logits.log_softmax(dim=1).logsumexp(dim=2)  # (B, 2), log of the sum over N cells
    return F.nll_loss(total - math.log(logits.shape[2]), labels)


def _at_the_largest_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy at the cell whose logit of fake most exceeds that of real."""
    place = (logits[:, 1] - logits[:, 0]).argmax(dim=1)  # (B,)
    chosen = logits.gather(2, place[:, None, None].expand(-1, 2, 1))  # (B, 2, 1)
    return F.cross_entropy(chosen[:, :, 0], labels)


_LOSSES = {"cells": _at_every_cell, "mean": _of_the_mean, "max": _at_the_largest_margin}
