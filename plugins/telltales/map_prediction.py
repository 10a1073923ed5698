"""The map prediction module: a map at each of three levels, semantic or of noise."""

from __future__ import annotations

from torch import Tensor, nn

from plugins.telltales.backbone import WIDTHS, Levels

FEATURES = 64  # channels of the features behind the deep map


class MapPrediction(nn.Module):
    """Chains of convolutions without activations: the maps are linear except for max pooling.

    Args:
        channels: channels of each map.
        separable: make every 3 x 3 convolution depthwise.
    """

    def __init__(self, channels: int, separable: bool = False) -> None:
        super().__init__()
        shallow, middle, deep = WIDTHS
        self.shallow = nn.Sequential(
            *_convolve(shallow, 64, 128, separable),
            nn.MaxPool2d(2),
            *_convolve(128, 128, 256, separable),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(256, 64, 5, stride=2, padding=1),
            nn.ConvTranspose2d(64, channels, 5, stride=2, padding=1),
        )
        self.middle = nn.Sequential(
            *_convolve(middle, 256, 512, separable),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(512, channels, 5, stride=2, padding=1),
        )
        self.embedding = nn.Sequential(*_convolve(deep, 256, FEATURES, separable))
        self.deep = nn.Sequential(
            nn.ConvTranspose2d(FEATURES, 16, 3, padding=1),
            nn.ConvTranspose2d(16, channels, 3, padding=1),
        )

    def embed(self, deep: Tensor) -> Tensor:
        """Return the features (B, 64, h, w) of the deep level (B, 728, h, w)."""
        return self.embedding(deep)

    def forward(self, levels: Levels, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the maps (B, channels, h, w), shallow to deep, the last one of the features.

        Each has its level's size where that is odd after every halving, as at 299 pixels (147, 37,
        19); else up to three cells a side more.
        """
        return self.shallow(levels.shallow), self.middle(levels.middle), self.deep(features)


def _convolve(inputs: int, between: int, outputs: int, separable: bool) -> tuple[nn.Conv2d, ...]:
    """Return a 3 x 3 convolution, depthwise if separable, and a 1 x 1 one."""
    if separable:
        spatial = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
    else:
        spatial = nn.Conv2d(inputs, between, 3, padding=1)
    return spatial, nn.Conv2d(spatial.out_channels, outputs, 1)
