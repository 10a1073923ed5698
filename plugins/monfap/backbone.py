"""The backbones of MoNFAP and their four feature levels."""

from __future__ import annotations

from typing import Literal, NamedTuple

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from plugins import create_backbone

BackboneName = Literal["convnextv2_atto", "resnet50"]
LEVELS = 4


class Settings(NamedTuple):
    """Settings of a backbone: timm's name, and the widths to project to (empty: unchanged)."""

    model: str
    widths: tuple[int, ...] = ()


BACKBONES: dict[str, Settings] = {
    "convnextv2_atto": Settings("convnextv2_atto.fcmae_ft_in1k"),
    "resnet50": Settings("resnet50.tv_in1k", (64, 128, 256, 512)),
}


class Backbone(nn.Module):
    """A timm network's four stages, each ending in a new channel-wise layer norm.

    Attributes:
        widths: channels of the levels, finest first.

    Raises:
        InputError: weights that are unavailable or do not fit.
    """

    def __init__(self, name: BackboneName, weights: str, drop_path: float) -> None:
        super().__init__()
        settings = BACKBONES[name]
        self.body = create_backbone(
            settings.model, weights, num_classes=0, drop_path_rate=drop_path
        )
        stages = self.body.feature_info[-LEVELS:]
        first = len(self.body.feature_info) - LEVELS  # timm counts a ResNet's stem as a stage
        self.indices = list(range(first, first + LEVELS))
        self.body.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        natural = tuple(stage["num_chs"] for stage in stages)
        self.widths = settings.widths or natural
        self.ends = nn.ModuleList(
            nn.Sequential(nn.Conv2d(given, width, 1, bias=False), LayerNorm2d(width))
            if settings.widths
            else LayerNorm2d(width)
            for given, width in zip(natural, self.widths, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the levels of images (B, 3, H, W), strides 4, 8, 16 and 32, finest first."""
        levels = self.body.forward_intermediates(
            images, indices=self.indices, intermediates_only=True
        )
        return tuple(end(level) for end, level in zip(self.ends, levels, strict=True))
