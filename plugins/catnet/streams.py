"""The DCT stream of CAT-Net and the fusion of both streams, from HRNet's modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.models.hrnet import HighResolutionModule
from timm.models.resnet import BasicBlock
from torch import Tensor, nn

from plugins.catnet.planes import BLOCK, PLANES, blocks_to_cells
from plugins.layers import convolve

DILATED, KEPT = 64, 4  # channels before and after the planes are reduced
BLOCKS = 4  # basic blocks of a branch
MODULES = (3, 2)  # of the stages of two and of three branches


class DctStream(nn.Module):
    """Features of the binary planes at strides 8, 16 and 32.

    Args:
        widths: channels of the three levels.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        first, second, third = widths
        self.reduce = nn.Sequential(
            nn.Conv2d(PLANES, DILATED, 3, padding=BLOCK, dilation=BLOCK, bias=False),
            nn.BatchNorm2d(DILATED),
            nn.ReLU(),
            *convolve(DILATED, KEPT, 1),
        )
        shortcut = nn.Sequential(
            nn.Conv2d(2 * KEPT * BLOCK**2, first, 1, bias=False), nn.BatchNorm2d(first)
        )
        self.enter = nn.Sequential(
            BasicBlock(2 * KEPT * BLOCK**2, first, downsample=shortcut),
            *(BasicBlock(first, first) for _ in range(BLOCKS - 1)),
        )
        self.halve = nn.Sequential(*convolve(first, second, 3, stride=2))
        self.pairs = nn.ModuleList(_module([first, second]) for _ in range(MODULES[0]))
        self.quarter = nn.Sequential(*convolve(second, third, 3, stride=2))
        self.triples = nn.ModuleList(_module([first, second, third]) for _ in range(MODULES[1]))

    def forward(self, planes: Tensor) -> list[Tensor]:
        """Return the levels (B, C, h, w) of planes (B, 21, H, W)."""
        cells = blocks_to_cells(self.reduce(planes))
        # Once more, times a quantisation table of ones.
        features = self.enter(cells.repeat(1, 2, 1, 1))
        levels = [features, self.halve(features)]
        for module in self.pairs:
            levels = module(levels)
        levels = [*levels, self.quarter(levels[-1])]
        for module in self.triples:
            levels = module(levels)
        return levels


class Fusion(nn.Module):
    """Joins the levels of the colour stream and of the DCT stream at a quarter of the size.

    Args:
        colour_widths: channels of the colour stream at strides 4, 8, 16 and 32.
        dct_widths: channels of the DCT stream at strides 8, 16 and 32.

    Attributes:
        width: channels of the result.
    """

    def __init__(self, colour_widths: Sequence[int], dct_widths: Sequence[int]) -> None:
        super().__init__()
        joined = [a + b for a, b in zip(colour_widths, (0, *dct_widths), strict=True)]
        widths = [width // 2 for width in colour_widths]
        self.narrow = nn.ModuleList(
            nn.Sequential(*convolve(before, after, 3))
            for before, after in zip(joined, widths, strict=True)
        )
        self.module = _module(widths)
        self.width = sum(widths)
        self.mix = nn.Sequential(*convolve(self.width, self.width, 1))

    def forward(self, colours: Sequence[Tensor], dct: Sequence[Tensor]) -> Tensor:
        """Return features (B, width, H / 4, W / 4)."""
        pairs = zip(colours[1:], dct, strict=True)
        joined = [colours[0], *(torch.cat(pair, dim=1) for pair in pairs)]
        levels = self.module([part(x) for part, x in zip(self.narrow, joined, strict=True)])
        size = levels[0].shape[-2:]
        enlarged = [
            F.interpolate(level, size, mode="bilinear", align_corners=False) for level in levels[1:]
        ]
        return self.mix(torch.cat([levels[0], *enlarged], dim=1))


def _module(widths: Sequence[int]) -> nn.Module:
    """Return an HRNet module of one branch for each width, each connected with all others."""
    count = len(widths)
    blocks = (BLOCKS,) * count
    return HighResolutionModule(count, BasicBlock, blocks, list(widths), tuple(widths), "SUM")
