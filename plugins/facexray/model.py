"""Face X-ray: four levels of a backbone, the X-ray, and a class from the X-ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
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
    check_choices,
    check_options,
    create_backbone,
)
from plugins.facexray.targets import boundary, fill
from plugins.layers import convolve

WIDTHS = (256, 128)  # of the head
POOLED, HIDDEN = 128, (1024, 128)  # of the class head "mlp": side of the X-ray, and channels


@dataclass(frozen=True)
class FaceXrayConfig:
    """The defaults are the paper's, as far as it is known."""

    image_size: int = 256
    """Side of the square input in pixels."""
    encoder: str = "hrnet_w48"
    """Any timm model whose last four feature levels have strides 4 to 32."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    head: Literal["pool", "mlp"] = "pool"
    """Class from the X-ray's mean and maximum, or by three layers from all of it."""
    map: Literal["edge", "fill"] = "edge"
    """Predicted map: the X-ray, or the area that it encloses."""
    map_weight: float = 100.0
    """Weight of the X-ray's cross-entropy relative to the classification."""
    frozen_share: float = 0.25
    """Share of the steps during which a pretrained backbone is not trained."""

    def __post_init__(self) -> None:
        check_options(self, "image_size", least=64)
        check_options(self, "map_weight", least=0)
        check_options(self, "frozen_share", least=0, below=1)
        check_choices(self)


class FaceXray(Detector[FaceXrayConfig]):
    """Predicts the boundary of a blended face, and its class from this alone.

    Images are (B, 3, H, W), standardised as ImageNet.

    Raises:
        InputError: a backbone that cannot be built, or unavailable weights.
    """

    gmacs = 29.2
    summary = Summary("Li et al., CVPR 2020", "score, boundary as map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=2e-4, schedule="constant"
    )
    steps: ClassVar[int] = 200_000
    batch: ClassVar[int] = 32
    step: Tensor
    thaw: Tensor

    def __init__(self, config: FaceXrayConfig = FaceXrayConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.backbone = _create_levels(config)
        first, second = WIDTHS
        self.xray = nn.Sequential(
            *convolve(sum(self.backbone.feature_info.channels()), first),
            *convolve(first, second),
            nn.Conv2d(second, 1, 1),
        )
        self.classifier = _create_classifier(config.head)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer("thaw", torch.zeros((), dtype=torch.long))

    def begin(self, steps: int) -> None:
        """Freeze a pretrained backbone for the first steps."""
        if self.backbone.is_pretrained:
            self.thaw.fill_(round(self.config.frozen_share * steps))

    def forward(self, images: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """Return float32 logits: (B, 2) of real and fake, (B, 1, H, W) of the X-ray.

        Args:
            images: (B, 3, H, W).
            frozen: pass no gradient to the backbone.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            levels = self.backbone(images)
        size = levels[0].shape[-2:]
        joined = [levels[0], *(_resize(level, size) for level in levels[1:])]
        xray = _resize(self.xray(torch.cat(joined, dim=1)).float(), images.shape[-2:])
        return self.classifier(self._describe(xray.sigmoid())).float(), xray

    def _describe(self, xrays: Tensor) -> Tensor:
        """Return (B, 2) mean and maximum of X-rays (B, 1, H, W), or all of each, pooled."""
        if self.config.head == "pool":
            return torch.cat([xrays.mean(dim=(2, 3)), xrays.amax(dim=(2, 3))], dim=1)
        return F.adaptive_avg_pool2d(xrays, POOLED).flatten(1)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropies of the class and, with maps, of the X-ray."""
        frozen = self.training and bool(self.step < self.thaw)
        logits, xray = self(batch.images, frozen)
        if self.training:
            self.step.add_(1)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            found = F.binary_cross_entropy_with_logits(xray, boundary(batch.maps))
            terms["xray"] = self.config.map_weight * found
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), and the X-ray or what it encloses."""
        logits, xray = self(images)
        maps = xray.sigmoid()
        filled = fill(maps) if self.config.map == "fill" else maps
        return Prediction(logits.softmax(dim=1)[:, FAKE], filled)


def _create_levels(config: FaceXrayConfig) -> Any:
    levels: dict[str, Any] = {"out_indices": (-4, -3, -2, -1)}
    if config.encoder.startswith("hrnet"):  # not those of its classification head
        levels = {"out_indices": (1, 2, 3, 4), "feature_location": ""}
    return create_backbone(config.encoder, config.encoder_weights, features_only=True, **levels)


def _create_classifier(head: str) -> nn.Module:
    if head == "mlp":
        first, second = HIDDEN
        layers = nn.Linear(POOLED**2, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
        return nn.Sequential(*layers, nn.Linear(second, 2))
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
        layer.bias.copy_(torch.tensor([0.5, -0.5]))
    return layer


def _resize(features: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    return F.interpolate(features, tuple(size), mode="bilinear", align_corners=False)
