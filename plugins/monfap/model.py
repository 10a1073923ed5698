"""MoNFAP: a backbone, a noise mixture per level, an auxiliary localiser, and the predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
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
)
from plugins.layers import convolve
from plugins.monfap.backbone import Backbone, BackboneName
from plugins.monfap.forgery_aware import ForgeryAwarePredictor
from plugins.monfap.noise_experts import SrmLayout
from plugins.monfap.noise_mixture import EXPERTS, NoiseMixture, importance_loss
from plugins.monfap.targets import weighted_pixel_loss
from plugins.targets import MapConfig


@dataclass(frozen=True)
class MoNFAPConfig(MapConfig):
    """The defaults are the paper's MoNFAP-C."""

    image_size: int = 512
    """Side of the square input in pixels; the map has a quarter of it."""
    backbone: BackboneName = "convnextv2_atto"
    """ConvNeXtV2-atto (MoNFAP-C), or ResNet-50 behind projections: MoNFAP-R (ours)."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    drop_path: float = 0.4
    """Maximum drop rate of the backbone's residual branches in training, rising with depth."""
    srm_layout: SrmLayout = "intended"
    """Initial kernels of a channel: all three, or ('code', as released) one of them three times."""
    top_k: int = EXPERTS
    """Number of the four noise experts with a nonzero weight."""
    attention_threshold: float = 0.5
    """Tokens may not attend where the auxiliary localiser's probability of their class is below."""
    fake_weight: float = 10.0
    """lambda of Eq. 14: weight of the pixels of fakes."""
    importance_weight: float = 0.1
    """w_im of Eq. 12: weight of the loss that keeps the experts balanced."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "top_k", least=1, most=EXPERTS)
        check_options(self, "drop_path", "attention_threshold", least=0, below=1)
        check_options(self, "fake_weight", "importance_weight", least=0)


class Output(NamedTuple):
    """Output of the network for a batch; channel and index 0 is real, 1 is fake."""

    logits: Tensor  # float32 (B, 2)
    mask_logits: Tensor  # float32 (B, 2, h, w), a quarter of the input
    coarse_logits: Tensor  # float32 (B, 2, h, w) of the auxiliary localiser, a 32nd of the input
    gates: tuple[Tensor, ...]  # four of float32 (B, 4): each level's weights of its noise experts


class MoNFAP(Detector[MoNFAPConfig]):
    """Classifies an image of one or more faces, and each of its pixels, by two tokens.

    Images are (B, 3, H, W), standardised as ImageNet, of any size from 64 pixels.

    Raises:
        InputError: backbone weights that are unavailable or do not fit.
    """

    gmacs = 10.8
    summary = Summary("Miao et al., arXiv 2024", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adamw", lr=6e-5, weight_decay=0.01, schedule="poly", power=0.9, floor=0.01
    )
    steps: ClassVar[int] = 13_200  # 40 epochs of FFIW's 84,612 images
    batch: ClassVar[int] = 256

    def __init__(self, config: MoNFAPConfig = MoNFAPConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.imagenet(config.image_size)
        self.backbone = Backbone(config.backbone, config.encoder_weights, config.drop_path)
        widths = self.backbone.widths
        self.mixtures = nn.ModuleList(
            NoiseMixture(width, config.top_k, config.srm_layout) for width in widths
        )
        self.localiser = nn.Sequential(
            *convolve(widths[-1], 512), *convolve(512, 512), nn.Conv2d(512, 2, 1)
        )
        self.predictor = ForgeryAwarePredictor(widths, config.attention_threshold)

    def forward(self, images: Tensor) -> Output:
        """Return the logits of images (B, 3, H, W), and the weights of the noise experts."""
        levels = self.backbone(images)
        mixed = [mixture(level) for mixture, level in zip(self.mixtures, levels, strict=True)]
        coarse = self.localiser(levels[-1])
        verdict = self.predictor(levels[-1], [noise for noise, _ in mixed], coarse)
        gates = tuple(gate for _, gate in mixed)
        return Output(verdict.logits.float(), verdict.mask_logits, coarse.float(), gates)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the terms of Eq. 15; without maps the first and the last alone.

        L = CE(Y, y) + L_pix(M) + L_pix(A) + w_im * the sum of the levels' CV^2.
        """
        config, output = self.config, self(batch.images)
        terms = {"classification": F.cross_entropy(output.logits, batch.labels)}
        if batch.maps is not None:
            located = {"mask": output.mask_logits, "auxiliary": output.coarse_logits}
            for name, logits in located.items():
                terms[name] = weighted_pixel_loss(
                    logits,
                    batch.maps,
                    batch.labels,
                    config.fake_weight,
                    config.map_mode,
                    config.map_threshold,
                )
        imbalance = torch.stack([importance_loss(gates) for gates in output.gates]).sum()
        return {**terms, "importance": config.importance_weight * imbalance}

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the image, and of each cell of a grid at a quarter of its size."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, 1]
        return Prediction(scores, output.mask_logits.softmax(dim=1)[:, 1:])
