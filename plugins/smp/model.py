"""A segmentation network with a class head, under cross-entropy of class and map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

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
    first_line,
)
from plugins.smp.building import build_network, standardisation
from plugins.smp.tracing import Trace, trace
from plugins.targets import MapConfig, MapMode


@dataclass(frozen=True)
class SmpConfig(MapConfig):
    """The network and its loss."""

    architecture: str = "DeepLabV3Plus"
    """DPT, DeepLabV3, DeepLabV3Plus, FPN, Linknet, MAnet, PAN, PSPNet, Segformer, UPerNet, Unet or
    UnetPlusPlus."""
    encoder: str = "resnet50"
    """A timm model, or one of segmentation_models_pytorch's own encoders, such as mit_b0."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 256
    """Side of the square input in pixels; a multiple of the encoder's stride."""
    map_weight: float = 1.0
    """Weight of the map loss."""
    map_mode: MapMode = "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, "image_size", least=32)
        check_options(self, "map_weight", above=0)


class Smp(Detector[SmpConfig]):
    """Classifies a face and segments its manipulated area.

    Images are (B, 3, H, W), standardised as the encoder's weights require.

    Raises:
        InputError: segmentation_models_pytorch is missing; a network that cannot be built, an
            image size that it does not take, or unavailable weights.
    """

    gmacs = 9.1
    summary = Summary("segmentation_models_pytorch", "score, map", "maps", "ImageNet")
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adamw", lr=1e-4, weight_decay=0.01
    )
    steps: ClassVar[int] = 30_000
    batch: ClassVar[int] = 32

    def __init__(self, config: SmpConfig = SmpConfig()) -> None:
        super().__init__()
        self.config = config
        self.network: Any = build_network(
            config.architecture, config.encoder, config.encoder_weights, config.image_size
        )
        mean, std = standardisation(self.network, config.encoder)
        self.input_spec = InputSpec(config.image_size, mean=mean, std=std)
        found = _trace_at(self.network, config)
        self.pooled = found.pooled
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in found.used)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32 logits (B, 2) of real and fake, and of the map (B, 1, H, W)."""
        single = self.training and images.shape[0] == 1
        with _in_evaluation(self.network, self.pooled if single else ()):
            drawn, logits = self.network(images)
        return logits.float(), drawn.float()

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return CE of the class + w BCE of the map over all pixels."""
        logits, drawn = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            maps = self.config.read_maps(batch.maps)
            found = F.binary_cross_entropy_with_logits(drawn, maps)
            terms["map"] = self.config.map_weight * found
        return terms

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), and the probability of manipulation at each pixel."""
        logits, drawn = self(images)
        return Prediction(logits.softmax(dim=1)[:, FAKE], drawn.sigmoid())


def _trace_at(network: Any, config: SmpConfig) -> Trace:
    """Return the trace at the configured size.

    Raises:
        InputError: a size that the network does not take; the next valid one is named if known.
    """
    size, stride = config.image_size, int(network.encoder.output_stride)
    wrong = f"--options image_size={size}: {config.architecture} on {config.encoder}"
    if size % stride:
        further = (size // stride + 1) * stride
        raise InputError(f"{wrong} needs a multiple of {stride}; the next is {further}")
    try:
        found = trace(network, size)
    except Exception as error:  # networks raise different errors for a wrong size
        raise InputError(f"{wrong} cannot process it ({first_line(error)})") from None
    if found.shapes != ((1, 1, size, size), (1, 2)):
        raise InputError(f"{wrong} returns maps of another size, {tuple(found.shapes[0][2:])}")
    return found


@contextmanager
def _in_evaluation(network: nn.Module, names: tuple[str, ...]) -> Iterator[None]:
    """Keep modules in evaluation mode for the duration of a ``with`` block."""
    modules = [network.get_submodule(name) for name in names]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module in modules:
            module.train()
