"""Telltales: a backbone, two map predictions from its three levels, a classification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

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
    read_tensors,
    resize_maps,
)
from plugins.targets import MapConfig, MapMode
from plugins.telltales.backbone import Backbone, Levels
from plugins.telltales.classification import Attention, Classification
from plugins.telltales.map_prediction import MapPrediction
from plugins.telltales.targets import NoiseEncoding, mask_targets, noise_label

FUSION = (0.1, 0.2, 0.7)  # gamma: weights of the shallow, the middle and the deep semantic map


@dataclass(frozen=True)
class TelltalesConfig(MapConfig):
    """The defaults are the paper's second step, from ImageNet weights."""

    step: Literal[1, 2] = 2
    """1: without noise; 2: all of it, best with encoder_weights=RUN/best.safetensors of step 1."""
    image_size: int = 299
    """Side of the square input in pixels."""
    encoder_weights: str = "timm"
    """Xception's: a file, 'timm' to download, or 'none'; or the weights of a run of this model."""
    attention: Attention = "logit"
    """Factor of the features: the deep map's logit (as released), or its sigmoid."""
    separable: bool = False
    """Depthwise 3 x 3 convolutions in the map predictions: as in the paper's text, not its code."""
    mask_weight: float = 1.0
    """lambda 2: weight of the semantic maps' loss."""
    noise_weight: float = 0.1
    """lambda 1: weight of the noise maps' loss, in step 2."""
    sigma: float = 5.0
    """Standard deviation of the noise in grey levels: 5 for FF++ c23, 10 for c40."""
    noise_encoding: NoiseEncoding = "abs"
    """Negative noise: absolute value, set to 0, or kept."""
    noise_gain: float = 1.0
    """Factor of the noise labels, which are shares of 255."""
    map_mode: MapMode = "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=64)
        check_options(self, "mask_weight", "noise_weight", least=0)
        check_options(self, "sigma", "noise_gain", above=0)


class Output(NamedTuple):
    """Output of the network for a batch, with the features behind the noise maps."""

    logits: Tensor  # float32 (B,): of fake
    masks: tuple[Tensor, ...]  # three of float32 (B, 2, h, w), shallow to deep: forged, pristine
    levels: Levels
    noise: Tensor  # features (B, 64, h, w); 0 in step 1


class Telltales(Detector[TelltalesConfig]):
    """Classifies a face by semantic and noise features, attended by its semantic map.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5, of any size from 64
    pixels.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    gmacs = 15.6
    summary = Summary("Kong et al., TIFS 2022", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adam", lr=2e-4, weight_decay=1e-5, schedule="constant"
    )
    steps: ClassVar[int] = 484_920  # 10 epochs of 1,551,744 faces
    batch: ClassVar[int] = 32

    def __init__(self, config: TelltalesConfig = TelltalesConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        weights = config.encoder_weights
        tensors = {} if weights in ("timm", "none") else read_tensors(weights)
        of_a_run = any(name.startswith("backbone.") for name in tensors)
        self.backbone = Backbone("none" if of_a_run else weights)
        self.semantic = MapPrediction(2, config.separable)
        self.noise = MapPrediction(1, config.separable)
        self.classification = Classification(config.attention)
        if of_a_run:
            self._load_run(tensors)
        else:
            _initialise(self.semantic, self.noise, self.classification)
        if config.step == 1:
            self.noise.requires_grad_(False)

    def _load_run(self, tensors: Mapping[str, Tensor]) -> None:
        try:
            self.load_state_dict(tensors)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()[:160]
            raise InputError(
                f"--options encoder_weights={self.config.encoder_weights}: not those of a "
                f"telltales run with these options ({reason})"
            ) from None

    def forward(self, images: Tensor) -> Output:
        """Return the logits and the semantic maps of images (B, 3, H, W)."""
        levels = self.backbone(images)
        semantic = self.semantic.embed(levels.deep)
        first = self.config.step == 1
        noise = torch.zeros_like(semantic) if first else self.noise.embed(levels.deep)
        masks = self.semantic(levels, semantic)
        logits = self.classification(semantic, noise, masks[-1][:, :1])
        return Output(logits.float(), tuple(mask.float() for mask in masks), levels, noise)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return L = L_c + lambda 1 L_n + lambda 2 L_b (Eq. 1), the last term only with maps.

        L_b and L_n are sums over the levels of the mean binary cross-entropy with [m, 1 - m], and
        of the mean absolute error of the noise (Eqs. 3 and 6).
        """
        config, output = self.config, self(batch.images)
        labels = batch.labels.float()
        terms = {"classification": F.binary_cross_entropy_with_logits(output.logits, labels)}
        if batch.maps is not None:
            terms["mask"] = config.mask_weight * self._mask_loss(batch.maps, output)
        if config.step == 2:
            terms["noise"] = config.noise_weight * self._noise_loss(batch.images, output)
        return terms

    def _mask_loss(self, maps: Tensor, output: Output) -> Tensor:
        mode, threshold = self.config.map_mode, self.config.map_threshold
        losses = []
        for logits in output.masks:
            truth = mask_targets(maps, logits.shape[-2:], mode, threshold)
            losses.append(F.binary_cross_entropy_with_logits(logits, truth))
        return torch.stack(losses).sum()

    def _noise_loss(self, images: Tensor, output: Output) -> Tensor:
        config = self.config
        colours = self.input_spec.restore(images) * 255
        label = noise_label(colours, config.sigma, config.noise_encoding, config.noise_gain)
        found = self.noise(output.levels, output.noise)
        losses = [F.l1_loss(m.float(), resize_maps(label, m.shape[-2:])) for m in found]
        return torch.stack(losses).sum()

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), and the sum of gamma_j times the enlarged semantic map of level j."""
        output = self(images)
        maps = torch.zeros_like(images[:, :1], dtype=torch.float32)
        for share, mask in zip(FUSION, output.masks, strict=True):
            maps = maps + share * resize_maps(mask[:, :1].sigmoid(), images.shape[-2:])
        return Prediction(output.logits.sigmoid(), maps.clamp(0, 1))  # rounding can pass 1


def _initialise(*modules: nn.Module) -> None:
    """Initialise convolutions from N(0, 2 / (k^2 C_out)); transposed ones are unchanged."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
