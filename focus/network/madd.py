"""MaDD: several attention maps over an EfficientNet, each pooling texture of its own region.

H. Zhao et al., "Multi-attentional Deepfake Detection", CVPR 2021. Written from a
description of the method; no code of its authors is used. 18.8 M parameters at the defaults
(18,822,482).

Deviations, and choices where the description is silent:

* one training stage: the paper trains the EfficientNet alone for 20 epochs first; weights of such
  a stage go in through ``encoder_weights``;
* an epoch is taken as 72,000 faces (720 videos of five kinds, 20 frames each) for ``steps`` and
  ``decay_steps``; the paper names epochs only;
* strided convolutions pad as TensorFlow does for an even side, whatever the side is: the paper's
  23 x 23 attention of a 380 pixel face needs that (exact padding gives 24 x 24);
* texture: the level less its local mean, times tanh of the detached attention, then three
  densely connected 3 x 3 convolutions after a first 5 x 5 one, grouped by attention;
* the centres follow real faces alone, since fakes are pushed away from them; one batch's mean
  carries the gradient of the inter-centre term undamped, for through the momentum it would be
  scaled by 0.05 and fall to nothing;
* the drop weight is scaled to be 0 where the attention is 0 and 1 at its maximum, so that what is
  not attended stays as it is; one attention is drawn uniformly per face;
* match: the distance of the regional features with and without the drop, over the attentions that
  were not dropped;
* both features are projected to 256 channels with hard-swish, joined, and classified by two
  layers: these widths meet the known parameter count; no dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from focus.backbones import create_backbone
from focus.config import check_options
from focus.detectors import Trainable
from focus.errors import InputError
from focus.network.maps import minmax
from focus.optim import OptimizerConfig
from focus.types import REAL, Batch, InputSpec, Prediction

TEXTURE, ATTENTION = 1, 3  # places of b2 and b5 among the levels that timm yields
PROJECTION = 256
BORDER_GRID, BORDER = 24, 2
CENTRE_MOMENTUM, CENTRE_DECAY = 0.05, 0.9
REAL_MARGIN, FAKE_MARGIN, CENTRE_MARGIN = 0.2, -0.8, 0.8
DROP_THRESHOLD, DROP_SLOPE = (0.4, 0.6), (3.0, 5.0)
DROP_KERNEL, DROP_SIGMA, DROP_NOISE = 11, 7.0, 0.1


@dataclass(frozen=True)
class MultiAttentionConfig:
    """The network, its losses and its map; the defaults are the paper's."""

    encoder: str = "tf_efficientnet_b4.ap_in1k"
    """A timm EfficientNet with TensorFlow padding (tf_efficientnet_...)."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 380
    """Side of the square input in pixels."""
    attentions: int = 4
    """M, how many attention maps."""
    map: str = "sum"
    """How attentions become one map: sum, max, or the number of one (0 the first)."""
    independence_weight: float = 0.5
    """Weight of the region-independence loss."""
    drop_weight: float = 1.0
    """Weight of the cross-entropy on attention-guided dropped images."""
    match_weight: float = 0.1
    """Weight of the match between features with and without the drop."""
    decay_steps: int = 4800
    """Steps after which the centres' momentum falls by 0.9: the paper's epoch."""

    def __post_init__(self) -> None:
        if not self.encoder.startswith("tf_efficientnet"):
            raise InputError(f"--options encoder={self.encoder}: use a tf_efficientnet of timm")
        check_options(self, "image_size", least=64)
        check_options(self, "attentions", "decay_steps", least=1)
        if self.map not in ("sum", "max", *map(str, range(self.attentions))):
            last = self.attentions - 1
            raise InputError(
                f"--options map={self.map}: use sum, max, or a number from 0 to {last}"
            )
        weights = ("independence_weight", "drop_weight", "match_weight")
        check_options(self, *weights, least=0)


class Output(NamedTuple):
    """All that the network says of a batch."""

    logits: Tensor  # (B, 2): real, fake
    attentions: Tensor  # (B, M, h, w), at least 0, unbounded
    regional: Tensor  # (B, M, C): local means of the texture level, pooled by each attention


class MultiAttention(Trainable):
    """Multi-attentional detector; its map is the sum of its attentions.

    Images come in as (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: an encoder that cannot be built, or weights that do not fit it.
    """

    draws_untaught = True
    optimizer = OptimizerConfig(
        optimizer="adamw",
        lr=1e-4,
        weight_decay=1e-6,
        schedule="steps",
        factors=tuple((tenth / 10, 0.5**tenth) for tenth in range(1, 10)),
    )
    steps = 240_000
    batch = 15

    def __init__(self, config: MultiAttentionConfig = MultiAttentionConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(config.image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
        self.encoder: Any = create_backbone(config.encoder, config.encoder_weights, num_classes=0)
        _pad_as_even(self.encoder)
        levels, count = self.encoder.feature_info, config.attentions
        channels = levels[TEXTURE]["num_chs"]
        self.attention = AttentionHead(levels[ATTENTION]["num_chs"], count)
        self.texture = TextureEnhancement(channels, count)
        self.independence = RegionIndependence(count, channels, config.decay_steps)
        self.project_texture = nn.Sequential(
            nn.Linear(count * channels, PROJECTION),
            nn.Hardswish(),
            nn.Linear(PROJECTION, PROJECTION),
            nn.Hardswish(),
        )
        self.project_final = nn.Sequential(
            nn.Linear(self.encoder.num_features, PROJECTION), nn.Hardswish()
        )
        self.classifier = nn.Sequential(
            nn.Linear(2 * PROJECTION, PROJECTION), nn.Hardswish(), nn.Linear(PROJECTION, 2)
        )

    def forward(self, images: Tensor) -> Output:
        """Return logits, attentions and regional features of images (B, 3, H, W)."""
        final, (level, deep) = self.encoder.forward_intermediates(
            images, indices=(TEXTURE, ATTENTION)
        )
        attentions = self.attention(deep)  # (B, M, h, w)
        texture, smooth = self.texture(level, attentions)
        textural = F.normalize(pool(texture, attentions), dim=-1)  # (B, M, C)
        regional = F.normalize(pool(smooth, attentions), dim=-1)  # (B, M, C)
        whole = pool(final, attentions.sum(dim=1, keepdim=True))[:, 0]
        joined = torch.cat(
            [self.project_texture(textural.flatten(1)), self.project_final(whole)], dim=1
        )
        return Output(self.classifier(joined).float(), attentions, regional)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross-entropy, region independence, and both terms of the attended drop."""
        config, output = self.config, self(batch.images)
        chosen = torch.randint(config.attentions, batch.labels.shape, device=batch.labels.device)
        rows = torch.arange(len(chosen), device=chosen.device)
        dropped = self(drop_attended(batch.images, output.attentions[rows, chosen][:, None]))
        distance = torch.linalg.vector_norm(output.regional - dropped.regional, dim=-1)  # (B, M)
        kept = 1 - F.one_hot(chosen, config.attentions)
        independence = self.independence(output.regional, batch.labels)
        return {
            "classification": F.cross_entropy(output.logits, batch.labels),
            "independence": config.independence_weight * independence,
            "dropped": config.drop_weight * F.cross_entropy(dropped.logits, batch.labels),
            "match": config.match_weight * (distance * kept).mean(),
        }

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the merged attention in [0, 1] times P(fake), and it as it was."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, 1]
        attentions = output.attentions
        if self.config.map == "sum":
            raw = attentions.sum(dim=1, keepdim=True)
        elif self.config.map == "max":
            raw = attentions.amax(dim=1, keepdim=True)
        else:
            raw = attentions[:, int(self.config.map)][:, None]
        return Prediction(scores, minmax(raw) * scores[:, None, None, None], {"raw": raw})


class AttentionHead(nn.Module):
    """M attention maps, ELU + 1 of two convolutions, 0 at the border of the face."""

    frame: Tensor

    def __init__(self, channels: int, attentions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, attentions, 1, bias=False),
            nn.BatchNorm2d(attentions),
        )
        inner = torch.ones(1, 1, BORDER_GRID - 2 * BORDER, BORDER_GRID - 2 * BORDER)
        self.register_buffer("frame", F.pad(inner, (BORDER,) * 4), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return attentions (B, M, h, w), float32, of features (B, C, h, w)."""
        values = F.elu(self.layers(features).float()) + 1
        return values * F.interpolate(self.frame, values.shape[-2:], mode="nearest")


class TextureEnhancement(nn.Module):
    """What remains of a shallow level without its local mean, refined once per attention."""

    def __init__(self, channels: int, attentions: int) -> None:
        super().__init__()
        self.attentions = attentions
        width = channels * attentions
        self.extract = nn.Conv2d(channels, channels, 3, padding=1)
        self.first = nn.Conv2d(width, width, 5, padding=2, groups=attentions)
        self.dense = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(depth * width),
                nn.ReLU(),
                nn.Conv2d(depth * width, width, 3, padding=1, groups=attentions),
            )
            for depth in (1, 2, 3)
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.Conv2d(4 * width, width, 1, groups=attentions),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, level: Tensor, attentions: Tensor) -> tuple[Tensor, Tensor]:
        """Return texture (B, M, C, H, W) and local means (B, C, h, w).

        Args:
            level: a shallow level (B, C, H, W).
            attentions: (B, M, h, w); they weigh the texture, without a gradient.
        """
        features = self.extract(level)
        height, width = attentions.shape[-2:]
        smooth = F.adaptive_avg_pool2d(features, (height, width))
        residual = features - F.interpolate(smooth, features.shape[-2:], mode="nearest")
        weights = F.interpolate(attentions.detach(), features.shape[-2:], mode="bilinear")
        weighted = residual[:, None] * weights.to(residual.dtype).tanh()[:, :, None]
        seen = self.first(weighted.flatten(1, 2))
        for layer in self.dense:
            seen = self._join(seen, layer(seen))
        return self.last(seen).unflatten(1, (self.attentions, -1)), smooth

    def _join(self, first: Tensor, second: Tensor) -> Tensor:
        """Concatenate channels within each attention's group."""
        groups = [values.unflatten(1, (self.attentions, -1)) for values in (first, second)]
        return torch.cat(groups, dim=2).flatten(1, 2)


class RegionIndependence(nn.Module):
    """Regional features of real faces close to running centres, those of fakes and of others far.

    max(|V - c| - 0.2, 0) of real faces, max(0.8 - |V - c|, 0) of fakes, both summed over the
    attentions, and max(0.8 - |c_i - c_j|, 0) summed over the pairs of centres.
    """

    centres: Tensor
    step: Tensor
    pairs: Tensor

    def __init__(self, attentions: int, channels: int, decay_steps: int) -> None:
        super().__init__()
        self.decay_steps = decay_steps
        self.register_buffer("centres", torch.zeros(attentions, channels))
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        pairs = torch.triu_indices(attentions, attentions, offset=1)
        self.register_buffer("pairs", pairs, persistent=False)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of features (B, M, C) and labels (B,); move the centres in training."""
        real = labels == REAL  # (B,)
        mean = (features * real[:, None, None]).sum(dim=0) / real.sum().clamp_min(1)  # (M, C)
        centres = self._move(mean.detach(), real.any())
        margin = torch.where(real, REAL_MARGIN, FAKE_MARGIN)[:, None]
        distance = torch.linalg.vector_norm(features - centres, dim=-1)  # (B, M)
        intra = (distance * margin.sign() - margin).clamp_min(0).sum(dim=1).mean()
        first, second = (centres + mean - mean.detach())[self.pairs]  # (pairs, C) each
        inter = CENTRE_MARGIN - torch.linalg.vector_norm(first - second, dim=-1)
        return intra + inter.clamp_min(0).sum()

    @torch.no_grad()
    def _move(self, mean: Tensor, any_real: Tensor) -> Tensor:
        """Return the centres moved towards the mean, and keep them in training."""
        momentum = CENTRE_MOMENTUM * CENTRE_DECAY ** (self.step // self.decay_steps)
        centres = self.centres + momentum * any_real * (mean - self.centres)
        if self.training:
            self.centres.copy_(centres)
            self.step.add_(1)
        return centres


def pool(features: Tensor, attentions: Tensor) -> Tensor:
    """Return the attention-weighted means of features: (B, M, C), float32.

    Args:
        features: (B, C, H, W), or (B, M, C, H, W) with features of their own for each attention.
        attentions: (B, M, h, w), at least 0; resized to H x W.
    """
    weights = F.interpolate(attentions.float(), features.shape[-2:], mode="bilinear")
    weights = weights / weights.sum(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    own = "m" if features.ndim == 5 else ""
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum(f"bmhw,b{own}chw->bmc", weights, features.float())


@torch.no_grad()
def drop_attended(images: Tensor, attention: Tensor) -> Tensor:
    """Return images that are blurred and noised where one attention is high (AGDA).

    Args:
        images: standardised (B, 3, H, W).
        attention: (B, 1, h, w), at least 0; what stands at 0 is left as it is.
    """
    size = images.shape[-2:]
    threshold = images.new_empty(len(images), 1, 1, 1).uniform_(*DROP_THRESHOLD)
    slope = torch.empty_like(threshold).uniform_(*DROP_SLOPE)
    attention = F.interpolate(attention.float(), size, mode="bilinear")
    attention = attention / attention.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    low, high = torch.sigmoid(-threshold * slope), torch.sigmoid((1 - threshold) * slope)
    weight = (torch.sigmoid((attention - threshold) * slope) - low) / (high - low)
    small = F.interpolate(images, scale_factor=0.5, mode="bilinear")
    with torch.autocast(images.device.type, enabled=False):
        small = gaussian_blur2d(small, (DROP_KERNEL, DROP_KERNEL), (DROP_SIGMA, DROP_SIGMA))
    small = small + DROP_NOISE * torch.randn_like(small)
    return torch.lerp(images, F.interpolate(small, size, mode="bilinear"), weight)


class EvenSameConv2d(nn.Conv2d):
    """Strided convolution padded as TensorFlow pads an even side, whatever the side is."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution; k - stride cells are added, the odd one at the far side."""
        extra = self.kernel_size[0] - self.stride[0]
        near, far = extra // 2, extra - extra // 2
        padded = F.pad(images, (near, far, near, far))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _pad_as_even(encoder: nn.Module) -> None:
    """Replace every strided convolution by one of the same weights that pads as for even sides."""
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1:
            even = EvenSameConv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size[0],
                module.stride[0],
                groups=module.groups,
                bias=module.bias is not None,
            )
            even.weight, even.bias = module.weight, module.bias
            parent, _, child = name.rpartition(".")
            setattr(encoder.get_submodule(parent), child, even)
