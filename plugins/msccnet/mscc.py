"""Multi-spectral class centres (MSCC): class representations under groups of DCT bases."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from plugins.msccnet.mfa import convolve

CLASSES = 2
GROUPS = 4
DctBases = Literal["paper4", "code64"]
ORDERS: dict[str, int] = {"paper4": 2, "code64": 8}  # frequencies 0 .. order - 1 on each axis


def dct_maps(order: int, height: int, width: int, device: torch.device) -> Tensor:
    """Return the lowest order x order bases of the orthonormal 2-D DCT-II on a grid.

    D_uv[i, j] = a(u) a(v) cos(pi u (i + 1/2) / h) cos(pi v (j + 1/2) / w), a(0) = sqrt(1 / n) and
    a(t) = sqrt(2 / n): float32 (order ** 2, h, w), v changing fastest.
    """
    rows, columns = (_cosines(order, size, device) for size in (height, width))
    return (rows[:, None, :, None] * columns[None, :, None, :]).flatten(0, 1)


def _cosines(order: int, size: int, device: torch.device) -> Tensor:
    """Return the first rows (order, size) of the orthonormal DCT-II matrix."""
    frequencies = torch.arange(order, device=device)[:, None]
    places = torch.arange(size, device=device) + 0.5
    scale = torch.where(frequencies == 0, math.sqrt(1 / size), math.sqrt(2 / size))
    return scale * torch.cos(math.pi / size * frequencies * places)


class MultiSpectralClassCenter(nn.Module):
    """Refine features by the class centres, and return coarse logits as well.

    Args:
        width: channels of the features, C; a group has c = C / 4.
        bases: ``paper4`` or ``code64``.
    """

    def __init__(self, width: int, bases: DctBases = "paper4") -> None:
        super().__init__()
        self.order = ORDERS[bases]
        group = width // GROUPS
        self.coarse = nn.Sequential(  # h, shared by all groups
            convolve(group, group, kernel=1), nn.Dropout2d(0.1), nn.Conv2d(group, CLASSES, 1)
        )
        self.fuse_coarse = nn.Conv2d(GROUPS, 1, 1)
        self.mix = nn.Conv2d(GROUPS, GROUPS, 1, bias=False)
        self.project = nn.Linear(group, group, bias=False)
        self.bottleneck = convolve(2 * width, width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return refined features (B, C, h, w) and coarse logits (B, 2, h, w) of (B, C, h, w)."""
        size = features.shape[-2:]
        filtered = self.filter(features).unflatten(1, (GROUPS, -1))  # (B, n, c, h, w)
        logits = self.coarse(filtered.flatten(0, 1)).unflatten(0, (-1, GROUPS))  # (B, n, 2, h, w)
        with torch.autocast(features.device.type, enabled=False):
            logits = logits.float().flatten(3)  # (B, n, 2, S)
            centers = self.relate(logits @ filtered.float().flatten(3).mT)  # (B, n, 2, c)
            groups = features.float().unflatten(1, (GROUPS, -1)).flatten(3)  # (B, n, c, S)
            refined = centers.mT @ self.attend(groups, centers)
            coarse = self.fuse_coarse(logits)[:, 0]
        refined = refined.flatten(1, 2).unflatten(2, size)
        joined = torch.cat([features, refined.to(features.dtype)], dim=1)
        return self.bottleneck(joined), coarse.unflatten(2, size)

    def filter(self, features: Tensor) -> Tensor:
        """Return float32 features, each channel times its basis (neighbours share one)."""
        height, width = features.shape[-2:]
        maps = dct_maps(self.order, height, width, features.device)
        spectra = features.unflatten(1, (len(maps), -1))
        return (spectra * maps[:, None]).flatten(1, 2)

    def relate(self, centers: Tensor) -> Tensor:
        """Pass messages between the groups' centres (B, n, 2, c): ReLU(A Z + Z) W."""
        return self.project(torch.relu(self.mix(centers) + centers))

    @staticmethod
    def attend(groups: Tensor, centers: Tensor) -> Tensor:
        """Return class memberships of pixels (B, n, 2, S), which sum to 1 over the two classes."""
        return (centers @ groups).softmax(dim=2)
