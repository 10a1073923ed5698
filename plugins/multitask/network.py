"""The Y-shaped autoencoder: an encoder whose two halves answer for a class each, and two decoders.

Every convolution but the last of a head is followed by a batch norm and a ReLU.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

WIDTHS = (3, 8, 8, 16, 16, 32, 32, 64, 64, 128)  # of the encoder; every second convolution halves
STRIDE = 16
HALF = WIDTHS[-1] // 2  # channels that answer for one class
SHARED, HEAD = (2 * HALF, 64, 64, 32, 32), (32, 16, 16, 8, 8)
SPREAD, GAIN = 0.02, 0.5  # of the initial weights, and mean of the norms' gains


class Autoencoder(nn.Module):
    """Encode images, keep the half of one class, decode a map and an image from it."""

    def __init__(self) -> None:
        super().__init__()
        pairs = enumerate(itertools.pairwise(WIDTHS))
        self.encoder = nn.Sequential(
            *(_normalised(nn.Conv2d(*pair, 3, 1 + number % 2, 1)) for number, pair in pairs)
        )
        self.shared = nn.Sequential(*_enlarge(SHARED))
        self.map = nn.Sequential(*_enlarge(HEAD), nn.ConvTranspose2d(HEAD[-1], 2, 3, padding=1))
        self.image = nn.Sequential(
            *_enlarge(HEAD), nn.ConvTranspose2d(HEAD[-1], 3, 3, padding=1), nn.Tanh()
        )
        self.apply(_initialise)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the halves (B, 2, 64, h, w) of real and fake, and their activations.

        Activations are float32 (B, 2): the mean magnitude of each half, at least 0.
        """
        halves = self.encoder(images).unflatten(1, (2, HALF))
        return halves, halves.float().abs().mean(dim=(2, 3, 4))

    def decode(self, halves: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map's logits and the reconstruction of the chosen halves, the others zeroed.

        Args:
            halves: (B, 2, 64, h, w).
            chosen: int64 (B,), 0 keeps the half of real and 1 that of fake.

        Returns:
            Logits of real and fake (B, 2, 16 h, 16 w) and images (B, 3, 16 h, 16 w) in [-1, 1],
            float32.
        """
        kept = torch.stack([1 - chosen, chosen], dim=1)[:, :, None, None, None]
        features = self.shared((halves * kept).flatten(1, 2))
        return self.map(features).float(), self.image(features).float()


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())


def _enlarge(widths: tuple[int, ...]) -> list[nn.Sequential]:
    """Return transposed 3 x 3 convolutions, the second and the fourth doubling the size."""
    return [
        _normalised(nn.ConvTranspose2d(*pair, 3, 1 + number % 2, 1, number % 2))
        for number, pair in enumerate(itertools.pairwise(widths))
    ]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, std=SPREAD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, GAIN, SPREAD)
