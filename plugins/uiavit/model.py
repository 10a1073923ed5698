"""UIA-ViT: a ViT, the attention of its last blocks, and patches weighted by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
    check_choices,
    check_options,
    create_backbone,
    minmax,
)
from plugins.uiavit.attention import attend, join_heads, watch
from plugins.uiavit.patch_gaussians import PatchGaussians
from plugins.uiavit.targets import correlation_loss

Map = Literal["attention", "location"]
EPOCHS, FITS_PER_EPOCH = 8, 2
BLOCKS = 5  # last blocks, whose queries and keys are averaged
RAMP_SLOPE, RAMP_MIDDLE = 12.0, 0.7
CORRELATION_WEIGHT, CROSS_WEIGHT, WITHIN_WEIGHT = 0.06, 0.5, 0.05
CROSS, INSIDE, OUTSIDE = 0.2, 0.6, 0.6  # initial values of the centres


@dataclass(frozen=True)
class UiaVitConfig:
    """The network, its schedule and its map; the defaults are the paper's."""

    encoder: str = "vit_base_patch16_224"
    """A plain ViT of timm with one class token and at least six blocks."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels."""
    map: Map = "attention"
    """Class-token attention, or location: how much closer a patch is to forged than to real."""
    ramp_steps: int = 0
    """Steps of the transition from equal to attended patch weights, 8 epochs in the paper; 0: all
    steps of the run."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_options(self, "image_size", least=32)
        check_options(self, "ramp_steps", least=0)


class Output(NamedTuple):
    """Output of the network for a batch."""

    logits: Tensor  # (B, 2): real, fake
    attention: Tensor  # (B, N) in (0, 1): of the class token to the patches
    queries: Tensor  # (B, 1 + N, E) of the last blocks, scaled so that a product with a key is
    keys: Tensor  # the mean over blocks and heads; the class token first, float32
    patches: Tensor  # (B, N, D): the middle block's patches, normalised, without gradient


class UiaVit(Detector[UiaVitConfig]):
    """Inconsistency-aware ViT; its map is the class token's attention to the patches.

    Images are (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: an encoder that fails to build or is not a plain ViT; weights that do not fit.
    """

    maps_without_supervision = True
    normalisation = "class_minmax"
    gmacs = 17.6
    summary = Summary(
        "Zhuang et al., ECCV 2022", "score, attention as map", "labels alone", "ImageNet"
    )
    optimizer = OptimizerConfig(optimizer="adam", lr=3e-5, schedule="constant")
    steps = 9600
    batch = 96
    step: Tensor
    ramp: Tensor

    def __init__(self, config: UiaVitConfig = UiaVitConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec.centred(config.image_size)
        self.encoder: Any = _create_vit(config)
        self.grid: tuple[int, int] = self.encoder.patch_embed.grid_size
        width = self.encoder.embed_dim
        self.gaussians = PatchGaussians(width, self.grid)
        self.centres = nn.Parameter(torch.tensor([CROSS, INSIDE, OUTSIDE]))
        self.classifier = nn.Linear(2 * width, 2)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer("ramp", torch.tensor(config.ramp_steps or self.steps))

    def begin(self, steps: int) -> None:
        """Spread the ramp over the run, unless the configuration sets its length."""
        if not self.config.ramp_steps:
            self.ramp.fill_(steps)

    def forward(self, images: Tensor) -> Output:
        """Return logits, attention and middle patches of images (B, 3, H, W)."""
        blocks = self.encoder.blocks
        with watch([block.attn for block in blocks[-BLOCKS:]]) as seen:
            tokens, (middle,) = self.encoder.forward_intermediates(
                images, indices=[len(blocks) // 2 - 1], output_fmt="NLC"
            )
        queries, keys = join_heads([block.attn for block in blocks[-BLOCKS:]], seen)
        attention = attend(queries[:, :1], keys[:, 1:])[:, 0]  # (B, N)
        uniform = uniform_share(self.step / self.ramp)
        weights = uniform + (1 - uniform) * attention
        pooled = (weights[..., None] * tokens[:, 1:]).mean(dim=1)  # (B, D)
        logits = self.classifier(torch.cat([tokens[:, 0], pooled.to(tokens.dtype)], dim=1))
        patches = F.layer_norm(middle.detach().float(), middle.shape[-1:])
        return Output(logits.float(), attention, queries, keys, patches)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross-entropy, L_corr and its centres' penalties, both 0 in the first epoch."""
        output = self(batch.images)
        epoch = self.ramp // EPOCHS
        active = (self.step >= epoch) * self.gaussians.fitted.prod()
        forged = self.gaussians.locate(output.patches) > 0
        forged &= (batch.labels == FAKE)[:, None]
        attention = attend(output.queries[:, 1:], output.keys[:, 1:])  # (B, N, N)
        correlation = correlation_loss(attention, forged, batch.labels, self.centres)
        cross, inside, outside = self.centres.abs()
        penalties = CROSS_WEIGHT * cross + WITHIN_WEIGHT / inside + WITHIN_WEIGHT / outside
        if self.training:
            self._observe(output.patches, batch.labels)
        return {
            "classification": F.cross_entropy(output.logits, batch.labels),
            "correlation": CORRELATION_WEIGHT * active * correlation,
            "centres": active * penalties,
        }

    def _observe(self, patches: Tensor, labels: Tensor) -> None:
        """Count the step, add its patches to the sums, and fit the Gaussians when due."""
        self.gaussians.add(patches, labels)
        self.step.add_(1)
        if self.step % (self.ramp // (EPOCHS * FITS_PER_EPOCH)).clamp_min(1) == 0:
            self.gaussians.fit()

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the map in [0, 1] times P(fake), and the raw map."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, FAKE]
        if self.config.map == "attention":
            raw = output.attention
        else:
            raw = self.gaussians.locate(output.patches)
        raw = raw.view(-1, 1, *self.grid)
        return Prediction(scores, minmax(raw) * scores[:, None, None, None], {"raw": raw})


def uniform_share(progress: Tensor) -> Tensor:
    """Return the weight of equal patches at a training progress: 1 for an eighth, then falling."""
    falling = torch.sigmoid(-RAMP_SLOPE * (progress - RAMP_MIDDLE))
    return torch.where(progress < 1 / EPOCHS, 1, falling)


def _create_vit(config: UiaVitConfig) -> Any:
    encoder = create_backbone(
        config.encoder, config.encoder_weights, num_classes=0, img_size=config.image_size
    )
    attentions = [getattr(block, "attn", None) for block in getattr(encoder, "blocks", ())]
    plain = all(isinstance(getattr(attention, "qkv", None), nn.Linear) for attention in attentions)
    if not plain or len(attentions) <= BLOCKS or encoder.num_prefix_tokens != 1:
        raise InputError(
            f"--options encoder={config.encoder}: needs a plain ViT with a class token"
        )
    return encoder
