from __future__ import annotations

import pytest
import torch

from focus.types import Batch, InputSpec, resize_maps


def test_images_are_standardised_by_255_and_by_channel():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    plain = InputSpec().standardise(images).flatten().tolist()
    assert plain == pytest.approx([0, 0.2, 1], abs=1e-7)
    half = InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3).standardise(images).flatten().tolist()
    assert half == pytest.approx([-1, -0.6, 1], abs=1e-6)
    spec = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    expected = [(0 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert spec.standardise(images).flatten().tolist() == pytest.approx(expected, abs=1e-6)
    clip = images[:, :, None].expand(1, 3, 2, 1, 1)
    for frame in spec.standardise(clip).unbind(2):
        assert frame.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_standardising_uses_given_memory_and_keeps_the_images():
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    out = torch.empty(2, 3, 4, 4)
    assert InputSpec(mean=(0.5, 0.5, 0.5)).standardise(images, out) is out
    assert (out == 0.5).all()
    assert (images == 255).all()


def test_a_standardised_batch_has_maps_of_the_size_of_its_images():
    images = torch.full((1, 3, 4, 4), 51, dtype=torch.uint8)
    maps = torch.zeros(1, 1, 2, 2)
    maps[..., 1] = 1
    batch = Batch(images, torch.tensor([1]), maps, ("a",), torch.tensor([0]))
    moved = batch.standardised(InputSpec())
    assert moved.images.flatten().tolist() == pytest.approx([0.2] * 48)
    assert moved.maps[0, 0, 0].tolist() == pytest.approx([0, 0.25, 0.75, 1])
    assert moved.keys == batch.keys
    assert resize_maps(torch.ones(2, 1, 3, 4, 4), (2, 2)).shape == (2, 1, 3, 2, 2)
