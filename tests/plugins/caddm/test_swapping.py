"""Multi-scale facial swaps."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from focus.errors import InputError
from plugins.caddm import Caddm
from plugins.caddm.swapping import blend, draw_hulls, fill_boxes, membrane, swap_faces
from tests.plugins.caddm.making import SMALL, faces


def test_pasted_region_is_the_mask_and_outside_is_untouched():
    torch.manual_seed(0)
    below, content = torch.rand(2, 2, 3, 96, 96).mul(255).round().unbind(0)
    masks = draw_hulls(2, 96, 1.0, below.device)
    mixed = blend(below, content, masks, torch.tensor([False, False]))
    touched = F.max_pool2d(masks, 5, stride=1, padding=2).expand_as(below) > 0
    inner = F.max_pool2d(1 - masks, 5, stride=1, padding=2).expand_as(below) == 0
    assert torch.equal(mixed[~touched], below[~touched])
    assert torch.equal(mixed[inner], content[inner])
    assert (mixed != below)[touched].float().mean() > 0.9
    assert not torch.equal(masks[0], masks[1])


def test_seamless_blending_moves_colours_to_those_around_the_mask():
    texture = torch.rand(1, 3, 96, 96).mul(40).round()
    masks = fill_boxes(torch.tensor([[20.0, 30, 60, 70]]), 96)
    mixed = blend(texture + 100, texture + 40, masks, torch.tensor([True]))
    assert torch.allclose(mixed, texture + 100, atol=0.1)


def test_membrane_is_near_the_harmonic_function():
    y, x = np.mgrid[:96, :96].astype(np.float32)
    slope = torch.from_numpy(0.4 * x - 0.7 * y)[None, None]
    masks = draw_hulls(1, 96, 0, slope.device)
    inside = masks > 0
    error = (membrane(slope, masks) - slope)[inside].abs()
    assert error.mean() < 0.2 * slope[inside].std()
    assert membrane(slope, torch.ones_like(masks)).abs().max() == 0


def test_the_hull_is_an_ellipse_in_the_middle():
    hull = draw_hulls(1, 224, 0, torch.device("cpu"))[0, 0].numpy().astype(np.uint8)
    area = hull.mean()
    assert area == pytest.approx(np.pi * 0.37 * 0.47 / 1.3**2, rel=0.01)
    assert cv2.connectedComponents(hull)[0] == 2


def test_swaps_have_the_papers_shares_and_only_fakes_take_part():
    torch.manual_seed(0)
    count, side = 512, 56
    originals = torch.rand(1, 3, side, side).mul(255).round().expand(count, -1, -1, -1)
    images = 255 - originals
    fake = torch.arange(count) % 4 != 0
    images = torch.where(fake.view(-1, 1, 1, 1), images, originals)
    evidence = ((images - originals).abs().mean(dim=1, keepdim=True) / 255).clamp(0, 1)
    swapped = swap_faces(images, originals, fake, evidence, 1e-3)
    assert torch.equal(swapped.images[~fake], originals[~fake])
    assert not swapped.partial[~fake].any()
    corner = swapped.images[fake][:, 0, 0, 0]  # outside every hull: the image below
    below_is_real = corner == originals[0, 0, 0, 0]
    partial = swapped.partial[fake]
    assert partial.float().mean().item() == pytest.approx(0.2, abs=0.06)
    assert (below_is_real & ~partial).float().mean().item() == pytest.approx(0.2, abs=0.06)
    same = (swapped.images == images)[fake].flatten(1).all(dim=1)
    whole = (swapped.boxes[fake][:, 2] - swapped.boxes[fake][:, 0]) == side
    assert (same & ~(partial & whole)).float().mean().item() == pytest.approx(0.2, abs=0.06)


def test_partial_swaps_change_their_window_alone():
    torch.manual_seed(0)
    originals = torch.rand(64, 3, 56, 56).mul(100).round()
    images = originals + 100
    evidence = torch.zeros(64, 1, 56, 56)
    evidence[:, :, 20:30, 15:35] = 1
    swapped = swap_faces(images, originals, torch.ones(64, dtype=torch.bool), evidence, 0.1)
    partial = swapped.partial
    assert 4 < partial.sum() < 24
    changed = (swapped.images != originals).any(dim=1, keepdim=True)[partial]
    windows = fill_boxes(swapped.boxes, 56)[partial]
    assert (evidence[partial] * windows).flatten(1).any(dim=1).all()
    reach = F.max_pool2d(windows, 5, stride=1, padding=2) > 0
    assert not (changed & ~reach).any()


def test_a_swap_that_gives_the_original_is_taken_back():
    originals = torch.rand(64, 3, 56, 56).mul(100).round()
    hull = draw_hulls(1, 56, 0, originals.device)
    inner = 1 - F.max_pool2d(1 - hull, 9, stride=1, padding=4)
    images = originals + 100 * inner
    torch.manual_seed(0)
    swapped = swap_faces(images, originals, torch.ones(64, dtype=torch.bool), inner, 0.1)
    assert (swapped.images != originals).flatten(1).any(dim=1).all()


def test_mfs_needs_originals_and_uses_maps_if_there_are_any():
    network = Caddm(dataclasses.replace(SMALL, mode="mfs"))
    assert network.companion == "original"
    batch = faces(companions=True)
    for maps in (batch.maps, None):
        terms = network.loss(batch._replace(maps=maps))
        assert list(terms) == ["classification", "anchor_confidence", "anchor_box"]
        assert all(value.isfinite() for value in terms.values())
    with pytest.raises(InputError, match="mode=mfs"):
        network.loss(faces())
