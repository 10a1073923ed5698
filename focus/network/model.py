"""FoCus: two encoders, a region proposal on each, the token swap, and one fused map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focus.detectors import Summary
from focus.errors import InputError
from focus.modalities import MODALITIES
from focus.network.carp import AttentionProposal, Proposal, RegionProposal
from focus.network.encoder import Encoder, EncoderConfig
from focus.network.maps import finish, modality_map
from focus.network.swapping import FusionHead, TokenSwap
from focus.normalisation import Normalisation
from focus.pretrained.mixin import Pretrained
from focus.types import Batch, InputSpec, Prediction

SCALE_QUANTILE = 0.999


@dataclass(frozen=True)
class FoCusConfig(EncoderConfig):
    """The network and its losses; the defaults are those of the paper."""

    second: Literal["sobel", "rgb", "dct", "srm"] = "sobel"
    """Input of the second branch (Table V)."""
    proposal: Literal["carp", "attention"] = "carp"
    """Source of a modality's map; 'attention' is the ablation without CARP."""
    swap: Literal["gumbel", "maximum"] = "gumbel"
    """Fusion of the modalities: one of both tokens at each position; 'maximum' is the ablation
    without complementary learning."""
    map_source: Literal["modalities", "fused"] = "modalities"
    """Both modalities' maps joined by the choice (Eq. 5), or the map of a third region proposal on
    the fused tokens, with its own term of Eq. 6."""
    car: Literal["class_mean", "channel_weighted"] = "class_mean"
    """Reading of Eq. 4: p times the mean map, or the classical CAM weighting."""
    maps_per_class: int = 32
    """K, maps per class in CARP (Fig. 10)."""
    temperature: float = 1.0
    """tau of the Gumbel-softmax."""
    loss_weight: float = 0.1
    """lambda of Eq. 8 (Fig. 11)."""
    weight_on: Literal["loc", "cls"] = "loc"
    """Loss that lambda multiplies."""
    normalise: Normalisation = "class_minmax"
    """Normalisation of maps to [0, 1]."""
    equation: Literal[4, 9] = 9
    """Equation behind the maps of labelled fakes: 9, the fake class's term, or 4, both classes'
    terms, as in the paper. All other faces get Eq. 9."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalise not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise InputError(f"--normalise {self.normalise}: use {known}")
        if self.equation not in (4, 9):
            raise InputError(f"--equation {self.equation}: use 4 or 9")
        if self.maps_per_class < 1:
            raise InputError(f"--maps-per-class {self.maps_per_class}: must be at least 1")
        if self.temperature <= 0:
            raise InputError(f"--temperature {self.temperature}: must be above 0")
        if self.loss_weight < 0:
            raise InputError(f"--loss-weight {self.loss_weight}: must not be negative")


class Output(NamedTuple):
    """Output of the network for a batch."""

    logits: Tensor  # (B, 2) of the fused head
    first: Proposal  # RGB
    second: Proposal  # Sobel, or the ablation's modality
    choice: Tensor  # (B, 2, h, w), one-hot over dim 1: modality of the token at each position
    fused: Proposal | None  # of the fused tokens, if the map comes from them


class FoCus(Pretrained):
    """Forgery cue discovery: classifies a face and maps its manipulation.

    Images are (B, 3, H, W), float in [0, 1]. The second modality and both standardisations are
    computed inside, on the device, so that preprocessing stays tied to the weights.

    Raises:
        InputError: an encoder that cannot be built, or one without a class token for
            ``proposal="attention"``.
    """

    maps_without_supervision = True
    natural_layer = "fusion.block.norm1"
    gmacs = 9.6
    summary = Summary("Tian et al., TIFS 2024", "score, map", "labels alone", "ImageNet")
    first_mean: Tensor
    first_std: Tensor
    second_mean: Tensor
    second_std: Tensor
    map_scale: Tensor

    def __init__(self, config: FoCusConfig = FoCusConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleList(Encoder(config) for _ in range(2))
        encoder: Encoder = self.encoders[0]  # type: ignore[assignment]
        self.grid, dim = encoder.grid, encoder.dim
        self.input_spec = InputSpec(image_size=config.image_size)
        if config.proposal == "attention" and not encoder.has_class_token:
            raise InputError(
                f"--proposal attention: {config.encoder} has no class token; use a ViT"
            )
        if config.map_source == "fused" and config.proposal == "attention":
            raise InputError("--map-source fused: needs region proposals (--proposal carp)")
        count = 3 if config.map_source == "fused" else 2
        self.proposals = nn.ModuleList(self._proposal(dim) for _ in range(count))
        self.swap = None if config.swap == "maximum" else TokenSwap(dim, config.temperature)
        self.fusion = FusionHead(dim)
        for name, value in (("mean", encoder.mean), ("std", encoder.std)):
            self.register_buffer(f"first_{name}", torch.tensor(value).view(1, 3, 1, 1))
            self.register_buffer(f"second_{name}", torch.tensor(value).view(1, 3, 1, 1))
        self.register_buffer("map_scale", torch.ones(()))

    def _proposal(self, dim: int) -> nn.Module:
        if self.config.proposal == "attention":
            return AttentionProposal(dim, self.grid)
        weighted = self.config.car == "channel_weighted"
        return RegionProposal(dim, self.grid, self.config.maps_per_class, weighted=weighted)

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Measure mean and deviation of the second modality on images (B, 3, H, W) in [0, 1]."""
        if self.config.second == "rgb":
            return
        values = MODALITIES[self.config.second](images.float())
        self.second_mean = values.mean(dim=(0, 2, 3), keepdim=True)
        self.second_std = values.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-6)

    @torch.no_grad()
    def finish(self, batches: Iterable[Batch]) -> None:
        """Measure the constant of the ``global`` normalisation: a high quantile over fakes."""
        fused = [
            fuse_parts(self.predict(batch.images).parts or {}, "global", self.config.swap).flatten()
            for batch in batches
        ]
        if fused:
            scale = np.quantile(torch.cat(fused).cpu().numpy(), SCALE_QUANTILE)
            self.map_scale.fill_(max(float(scale), 1e-6))

    def forward(self, images: Tensor) -> Output:
        """Return logits, proposals and the token choice of images (B, 3, H, W) in [0, 1]."""
        first = (images - self.first_mean) / self.first_std
        with torch.autocast(images.device.type, enabled=False):
            second = MODALITIES[self.config.second](images.float())
            second = (second - self.second_mean) / self.second_std
        tokens_first, proposal_first = self._branch(0, first)
        tokens_second, proposal_second = self._branch(1, second)
        if self.swap is None:
            fused, choice = (tokens_first + tokens_second) / 2, None
        else:
            fused, choice = self.swap(tokens_first, tokens_second)
        logits = self.fusion(fused)
        if choice is None:
            choice = torch.full((*fused.shape[:2], 2), 0.5, device=fused.device)
        grid_choice = choice.transpose(1, 2).reshape(-1, 2, *self.grid)
        third = self.proposals[2](fused) if self.config.map_source == "fused" else None
        return Output(logits, proposal_first, proposal_second, grid_choice, third)

    def _branch(self, which: int, images: Tensor) -> tuple[Tensor, Proposal]:
        encoder, proposal = self.encoders[which], self.proposals[which]
        if self.config.proposal == "attention":
            tokens, class_token, attention = encoder.forward_attention(images)  # type: ignore[operator]
            return tokens, proposal(class_token, attention)
        tokens = encoder(images)
        return tokens, proposal(tokens)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the weighted terms of Eq. 8: L = L_cls + lambda * L_loc."""
        output = self(batch.images)
        located = [  # Eq. 6, one cross-entropy per proposal
            F.cross_entropy(proposal.logits.float(), batch.labels)
            for proposal in (output.first, output.second, output.fused)
            if proposal is not None
        ]
        classified = F.cross_entropy(output.logits.float(), batch.labels)  # Eq. 7
        weight = self.config.loss_weight
        on_loc = self.config.weight_on == "loc"
        return {
            "classification": classified * (1.0 if on_loc else weight),
            "localisation": torch.stack(located).sum() * (weight if on_loc else 1.0),
        }

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) of the fused head, the fused map, and its parts.

        The map is Eq. 5 of the fake class's maps (Eq. 9), or the fused tokens' map; ``parts`` hold
        the class maps and probabilities of all proposals and the choice, from which any
        normalisation can be computed again (:func:`fuse_parts`).
        """
        output = self(images)
        scores = output.logits.float().softmax(dim=1)[:, 1]
        parts = {
            "first_maps": output.first.maps.float(),
            "second_maps": output.second.maps.float(),
            "first_probability": output.first.probability,
            "second_probability": output.second.probability,
            "choice": output.choice,
        }
        if output.fused is not None:
            parts["fused_maps"] = output.fused.maps.float()
            parts["fused_probability"] = output.fused.probability
        mode = self.config.normalise
        maps = finish(fuse_parts(parts, mode, self.config.swap), scores, mode, self.map_scale)
        return Prediction(scores, maps[:, None], parts)


def fuse_parts(
    parts: Mapping[str, Tensor], normalisation: Normalisation, swap: str, fake_only: bool = True
) -> Tensor:
    """Return fused maps (B, h, w) of a prediction's parts: Eq. 4 or 9, then Eq. 5.

    Args:
        parts: of :meth:`FoCus.predict`; those of the fused tokens, if any, already are the map.
        normalisation: see :mod:`focus.network.maps`; only ``class_minmax`` bounds the result.
        swap: ``maximum`` takes the larger value instead of the chosen one.
        fake_only: Eq. 9 (the fake class's term) rather than Eq. 4 (both classes').
    """

    def read(name: str) -> Tensor:
        maps, probability = parts[f"{name}_maps"], parts[f"{name}_probability"]
        return modality_map(maps, probability, normalisation, fake_only)

    if "fused_maps" in parts:
        return read("fused")
    first, second = read("first"), read("second")
    if swap == "maximum":
        return torch.maximum(first, second)
    return parts["choice"][:, 0] * first + parts["choice"][:, 1] * second
