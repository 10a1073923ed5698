"""CAT-Net: a colour stream and a DCT stream, joined into a map and a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
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
from plugins.catnet.planes import binary_planes, luma_coefficients
from plugins.catnet.streams import DctStream, Fusion
from plugins.targets import MapConfig


@dataclass(frozen=True)
class CatNetConfig(MapConfig):
    """The defaults are the paper's, from ImageNet weights."""

    image_size: int = 512
    """Side of the square input in pixels, a multiple of 32; the map has a quarter of it."""
    encoder: str = "hrnet_w48"
    """The colour stream: an HRNet of timm. The DCT stream has the channels of its last levels."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    real_weight: float = 0.5
    """Weight of real pixels in the cross-entropy."""
    fake_weight: float = 2.5
    """Weight of fake pixels in the cross-entropy."""
    class_weight: float = 1.0
    """Weight of the cross-entropy of the image's class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64, multiple=32)
        check_options(self, "real_weight", "fake_weight", above=0)
        check_options(self, "class_weight", least=0)


class Output(NamedTuple):
    """Output of the network for a batch; channel and index 0 is real, 1 is fake."""

    logits: Tensor  # float32 (B, 2)
    map_logits: Tensor  # float32 (B, 2, H / 4, W / 4)


class CatNet(Detector[CatNetConfig]):
    """Classifies and maps an image by its colours and its compression.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5 from 8-bit values, with H
    and W multiples of 32.

    Raises:
        InputError: an encoder that is not an HRNet, or weights that are unavailable or do not fit.
    """

    gmacs = 133.3
    summary = Summary(
        "Kwon et al., IJCV 2022",
        "score, map",
        "maps (DCT planes come from the pixels, not from JPEG files)",
        "ImageNet, DCT stream random",
    )
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="sgd", lr=5e-3, weight_decay=5e-4, schedule="poly", power=0.9
    )
    steps: ClassVar[int] = 65_454  # 20 epochs of 36,000 faces
    batch: ClassVar[int] = 11

    def __init__(self, config: CatNetConfig = CatNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.colours = _create_hrnet(config)
        widths = self.colours.feature_info.channels()
        self.dct = DctStream(widths[1:])
        self.fusion = Fusion(widths, widths[1:])
        self.locate = nn.Conv2d(self.fusion.width, 2, 1)
        self.classify = nn.Linear(self.fusion.width, 2)

    def planes(self, images: Tensor) -> Tensor:
        """Return the binary planes (B, 21, H, W), float32, of standardised images."""
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            colours = (self.input_spec.restore(images) * 255).round().clamp(0, 255)
            return binary_planes(luma_coefficients(colours))

    def forward(self, images: Tensor) -> Output:
        """Return the logits of the class and of the map of images (B, 3, H, W)."""
        fused = self.fusion(self.colours(images), self.dct(self.planes(images)))
        logits = self.classify(fused.mean(dim=(2, 3)))
        return Output(logits.float(), self.locate(fused).float())

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the cross-entropies of the class and of the pixels; without maps the first."""
        config, output = self.config, self(batch.images)
        entropy = F.cross_entropy(output.logits, batch.labels)
        terms = {"classification": config.class_weight * entropy}
        if batch.maps is not None:
            truth = config.class_probabilities(batch.maps)
            weights = (config.real_weight, config.fake_weight)
            terms["map"] = weighted_cross_entropy(output.map_logits, truth, weights)
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the image, and of each cell of a grid at a quarter of its size."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, FAKE]
        return Prediction(scores, output.map_logits.softmax(dim=1)[:, FAKE:])


def weighted_cross_entropy(logits: Tensor, truth: Tensor, weights: tuple[float, float]) -> Tensor:
    """Return the weighted mean of the cross-entropy over the pixels of a batch.

    Args:
        logits: (B, 2, h, w), enlarged bilinearly to the size of the truth.
        truth: probabilities of real and fake, (B, 2, H, W).
        weights: of real and fake pixels, above 0.
    """
    logits = F.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=False)
    weighted = truth * truth.new_tensor(weights).view(1, 2, 1, 1)
    return -(weighted * logits.log_softmax(dim=1)).sum() / weighted.sum()


def _create_hrnet(config: CatNetConfig) -> Any:
    """Return an HRNet that gives its four branches.

    Raises:
        InputError: another model, or weights that are unavailable or do not fit.
    """
    if not config.encoder.startswith("hrnet"):
        raise InputError(f"--options encoder={config.encoder}: use an HRNet such as hrnet_w18")
    return create_backbone(
        config.encoder,
        config.encoder_weights,
        features_only=True,
        feature_location="",
        out_indices=(1, 2, 3, 4),
    )
