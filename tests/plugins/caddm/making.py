"""A small CADDM and faces for it."""

import torch
import torch.nn.functional as F

from focus.types import Batch
from plugins.caddm import CaddmConfig

SIZE = 48
SMALL = CaddmConfig(backbone="resnet34", encoder_weights="none", image_size=SIZE, adm_width=16)


def faces(count=8, size=SIZE, maps=True, companions=False):
    """Real and fake in turn; a fake has a coarse patch of noise, which its map marks."""
    images = torch.rand(count, 3, size, size) * 100
    labels = torch.arange(count) % 2
    marks = torch.zeros(count, 1, size, size)
    marks[labels == 1, :, size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
    noise = F.interpolate(torch.rand(count, 3, size // 4, size // 4) * 255, (size, size))
    originals = images.round().to(torch.uint8)
    return Batch(
        torch.where(marks > 0, noise, originals.float()),
        labels,
        marks if maps else None,
        tuple("abcdefgh"[:count]),
        torch.arange(count),
        companions=originals if companions else None,
    )
