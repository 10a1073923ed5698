"""Faces that the tests of several detectors share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from focus.types import Batch


@pytest.fixture
def batch():
    """Return eight coarse noise images (64 x 64), every second with a noisy patch and its map."""
    draw = torch.Generator().manual_seed(0)
    images = F.interpolate(torch.randn(8, 3, 8, 8, generator=draw), (64, 64), mode="bilinear")
    maps, labels = torch.zeros(8, 1, 64, 64), torch.arange(8) % 2
    for face in range(1, 8, 2):
        top, left = 16 * (1 + face // 2 % 2), 16 * (1 + face // 4)
        maps[face, :, top : top + 24, left : left + 24] = 1
    images += 2 * torch.randn(images.shape, generator=draw) * maps
    return Batch(images, labels, maps, tuple("abcdefgh"), torch.arange(8))


@pytest.fixture(scope="session")
def noise_faces():
    """Return a function from labels to faces of noise in [-1, 1], 64 x 64, without maps."""

    def draw(labels: list[int]) -> Batch:
        torch.manual_seed(1)
        images = torch.rand(len(labels), 3, 64, 64) * 2 - 1
        keys = tuple(map(str, range(len(labels))))
        return Batch(images, torch.tensor(labels), None, keys, torch.arange(len(labels)))

    return draw
