"""Class activation maps: the image regions behind a classifier's evidence for a fake."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from focus.config import parse_options
from focus.errors import InputError
from focus.generators.contract import Generator, StoredParts
from focus.generators.explained import Explained, load_explained
from focus.generators.layers import find_layer, shorten
from focus.normalisation import Normalisation, minmax, weigh_evidence
from focus.types import Prediction


@dataclass(frozen=True)
class CamConfig:
    """The explained classifier, its mapped layer, and the normalisation of the maps."""

    encoder: str = ""
    """Name of the timm classifier in the weights file; empty: the weights are of a run folder."""
    target: int = 1
    """Index of the output for fakes in a timm classifier."""
    image_size: int = 0
    """Side of a timm classifier's input in pixels; 0: its default size."""
    layer: str = ""
    """Path of the module to map, such as blocks.-2.norm1; empty: chosen automatically."""
    normalise: Normalisation = "class_minmax"
    """class_minmax stretches each map and multiplies it by P(fake); image_minmax only stretches;
    global multiplies by P(fake) and divides by map_scale."""
    map_scale: float = 0.0
    """Value that becomes 1 under global."""

    def __post_init__(self) -> None:
        if not self.encoder and (self.target != 1 or self.image_size):
            raise InputError(
                "--options target and image_size apply to a timm classifier; name it with "
                "encoder=NAME"
            )
        if self.normalise == "global" and not self.map_scale > 0:
            raise InputError(
                "--normalise global needs the value that becomes 1: --options map_scale=X; "
                "or generate the maps without it and normalise the file afterwards"
            )


@dataclass(frozen=True)
class ScoreCamConfig(CamConfig):
    """CAM settings, and the number of masked images per forward pass."""

    masked: int = 0
    """Masked images per forward pass; 0: 16 on a CPU (limited by its caches) and 256 on a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.masked < 0:
            raise InputError(f"--options masked={self.masked}: must not be negative")


class ClassMap(Generator):
    """Base of class activation maps for the fake class.

    ``parts["cam"]`` is the map before normalisation: (B, h, w), at least 0.

    Args:
        explained: the classifier.
        config: settings.
    """

    kind = "classifier"  # the newest run of this kind is the default for --weights
    config_type: ClassVar[type[CamConfig]] = CamConfig

    def __init__(self, explained: Explained, config: CamConfig) -> None:
        super().__init__()
        self.explained, self.config = explained, config
        self.input_spec = explained.input_spec
        self.weights_sha256 = explained.weights_sha256
        self.normalisation = config.normalise

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, str]) -> Self:
        """Build from any detector's run folder, or from a timm classifier's weights file."""
        if weights is None:
            raise InputError(
                "--weights is missing: give a run folder, or a timm classifier's weights file"
            )
        config = parse_options(cls.config_type, options)
        explained = load_explained(weights, config.encoder, config.target, config.image_size)
        return cls(explained, config)

    def describe(self) -> Mapping[str, Any]:
        """Return the classifier, the layer and the normalisation."""
        own = {"normalise": self.config.normalise, "map_scale": self.config.map_scale}
        return {**self.explained.settings, **own, "layer": self.layer_name}

    @property
    @abstractmethod
    def layer_name(self) -> str:
        """Path of the module that is mapped."""

    def finish(self, cam: Tensor, scores: Tensor) -> Prediction:
        """Return the prediction of maps (B, h, w) before normalisation."""
        parts = {"cam": cam}
        maps = self.renormalise(StoredParts(parts, scores), self.describe(), self.config.normalise)
        return Prediction(scores, maps[:, None].clamp(0, 1), parts)

    @classmethod
    def renormalise(
        cls, stored: StoredParts, settings: Mapping[str, Any], normalisation: str
    ) -> Tensor:
        """Return maps (N, h, w) of ``parts["cam"]`` and the scores; ``global`` does not clip."""
        scale = settings["map_scale"] if normalisation == "global" else 1.0
        return weigh_evidence(stored.parts["cam"], stored.scores, normalisation, scale)  # type: ignore[arg-type]


class ActivationMap(ClassMap):
    """Base of class maps from the planes of one layer."""

    def __init__(self, explained: Explained, config: CamConfig) -> None:
        super().__init__(explained, config)
        self.layer = find_layer(explained, config.layer)
        shorten(explained, self.layer)
        with torch.no_grad():  # a wrong layer fails before the first face is read
            self.observe(explained.example())

    @property
    def layer_name(self) -> str:
        """Path of the module that is mapped."""
        return self.layer.name

    def observe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return scores (B,) and the layer's planes, float32 (B, C, h, w)."""
        with self.layer.watched() as seen:
            evidence = self.explained(images)
        return evidence.scores, self.layer.planes(self.layer.last(seen))


class GradCam(ActivationMap):
    """Grad-CAM (Selvaraju et al., ICCV 2017): planes weighted by their mean gradient, rectified.

    The fake's logit is differentiated down to this layer only.
    """

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of standardised images (B, 3, H, W)."""
        scores, planes, gradients = self.observe(images)
        return self.finish(self.combine(planes, gradients), scores)

    def observe(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return scores (B,), planes (B, C, h, w) and the logit's gradient with respect to them."""
        with torch.enable_grad(), self.layer.watched(gradient=True) as seen:
            evidence = self.explained(images)
            output, total = self.layer.last(seen), evidence.logits.sum()
            if not total.requires_grad:
                raise InputError(
                    f"--options layer={self.layer.name}: the score does not depend on it"
                )
            (gradient,) = torch.autograd.grad(total, output)
        planes = self.layer.planes(output.detach())
        return evidence.scores.detach(), planes, self.layer.planes(gradient)

    def combine(self, planes: Tensor, gradients: Tensor) -> Tensor:
        """Return maps (B, h, w) of planes and their gradients, both float32 (B, C, h, w)."""
        return _weigh(planes, gradients.mean(dim=(2, 3)))


class GradCamPlusPlus(GradCam):
    """Grad-CAM++ (Chattopadhay et al., WACV 2018), for the exponential of the logit.

    A cell's share of its plane's weight is g^2 / (2 g^2 + g^3 sum(A)) where g is not 0, which is
    1 / (2 + g sum(A)); it is multiplied by max(g, 0).
    """

    def combine(self, planes: Tensor, gradients: Tensor) -> Tensor:
        """Return maps (B, h, w) of planes and their gradients, both float32 (B, C, h, w)."""
        lower = 2 + gradients * planes.sum(dim=(2, 3), keepdim=True)
        share = torch.where(lower == 0, 1.0, lower).reciprocal()
        return _weigh(planes, (share * gradients.clamp_min(0)).sum(dim=(2, 3)))


class LayerCam(GradCam):
    """LayerCAM (Jiang et al., TIP 2021): every cell weighted by its own positive gradient."""

    def combine(self, planes: Tensor, gradients: Tensor) -> Tensor:
        """Return maps (B, h, w) of planes and their gradients, both float32 (B, C, h, w)."""
        return (planes * gradients.clamp_min(0)).sum(dim=1).clamp_min(0)


class ScoreCam(ActivationMap):
    """Score-CAM (Wang et al., CVPR Workshops 2020): planes weighted by their masked score.

    Each plane, enlarged to the image and stretched to [0, 1], masks the standardised image; the
    weights are the softmax over planes of the masked images' logits for a fake. One forward pass
    per plane and face: ``--precision bf16`` at least halves the time on a CPU that supports it.
    """

    config_type = ScoreCamConfig
    config: ScoreCamConfig

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of standardised images (B, 3, H, W)."""
        scores, planes = self.observe(images)
        weights = self._masked_logits(images, planes).softmax(dim=1)
        return self.finish(_weigh(planes, weights), scores)

    def _masked_logits(self, images: Tensor, planes: Tensor) -> Tensor:
        """Return logits (B, C) of images (B, 3, H, W) under each of their planes (B, C, h, w)."""
        count = planes.shape[1]
        masks = planes.flatten(0, 1)[:, None]  # (B C, 1, h, w)
        owners = torch.arange(len(masks), device=images.device) // count
        step = self.config.masked or (16 if images.device.type == "cpu" else 256)
        logits = []
        for some, whose in zip(masks.split(step), owners.split(step), strict=True):
            large = F.interpolate(some, images.shape[2:], mode="bilinear", align_corners=False)
            logits.append(self.explained(images[whose] * minmax(large)).logits.float())
        return torch.cat(logits).view(-1, count)


def _weigh(planes: Tensor, weights: Tensor) -> Tensor:
    """Return the rectified sum (B, h, w) of planes (B, C, h, w) times weights (B, C)."""
    # Not einsum: autocast would run it in low precision.
    return (planes * weights[:, :, None, None]).sum(dim=1).clamp_min(0)
