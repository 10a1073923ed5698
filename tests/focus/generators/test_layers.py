"""The layer that class activation maps choose, in a model of every timm family."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from focus.errors import InputError
from focus.generators.cam import GradCam
from focus.generators.layers import Layer
from focus.runs import save_weights

with (Path(__file__).parents[1] / "timm_families.csv").open() as file:
    FAMILIES = {row["family"]: row for row in csv.DictReader(file)}


UNPADDED = {"inception_resnet_v2", "inception_v3", "inception_v4"}  # few cells of small images


def write_classifier(folder, model, size):
    """Write a timm classifier of two classes and random weights; return it, and its file."""
    torch.manual_seed(0)
    try:
        network = timm.create_model(model, img_size=size).eval()
    except TypeError:
        network = timm.create_model(model).eval()
    network.reset_classifier(2)
    for path, head in network.named_modules():
        if "head" in path and isinstance(head, torch.nn.Linear):
            torch.nn.init.normal_(head.weight)  # some start at 0, and explain nothing
    save_weights(network, folder / "weights.safetensors")
    return network, folder / "weights.safetensors"


@torch.no_grad()
def corner_contrast(generator, size):
    """Return the ratio of the changes by a lit corner: in its planes over the opposite corner's."""
    images = torch.zeros(3, 3, size, size)
    images[1, :, :32, -32:] = torch.randn(3, 32, 32)
    images[2, :, -32:, :32] = torch.randn(3, 32, 32)
    with generator.layer.watched() as seen:
        generator.explained(images)
    planes = generator.layer.planes(generator.layer.last(seen)).double()
    first, second = (planes[1:] - planes[:1]).norm(dim=1) + 1e-12
    height, width = first.shape
    right = slice(None, (height + 1) // 2), slice(width // 2, None)
    left = slice(height // 2, None), slice(None, (width + 1) // 2)
    ratio = first[right].mean() * second[left].mean() / (first[left].mean() * second[right].mean())
    return ratio.log().item(), (height, width)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layer_of_a_family_is_a_grid_near_its_output(family, tmp_path, request):
    row = FAMILIES[family]
    if not (row["suite"] or request.config.getoption("--all-families")):
        pytest.skip("runs with --all-families")
    if not timm.is_model(row["model"]):
        pytest.skip("a later timm has it")
    size = int(row["image_size"])
    network, weights = write_classifier(tmp_path, row["model"], size)
    try:
        generator = GradCam.load(weights, {"encoder": row["model"], "image_size": str(size)})
    except InputError as error:
        assert "cannot process images" in str(error)  # noqa: PT017
        size = timm.get_pretrained_cfg(row["model"]).input_size[-1]
        network, weights = write_classifier(tmp_path, row["model"], size)
        generator = GradCam.load(weights, {"encoder": row["model"]})
    contrast, grid = corner_contrast(generator, size)
    with torch.no_grad():
        deepest = network.forward_intermediates(
            torch.zeros(1, 3, size, size), indices=1, intermediates_only=True
        )[-1]
    if family not in UNPADDED:
        assert grid == deepest.shape[2:]
    if not row["mixes"]:
        assert contrast > 0.3
    assert generator.predict(torch.rand(1, 3, size, size)).maps.shape == (1, 1, *grid)


def test_a_size_that_a_classifier_refuses_is_said_with_its_own(tmp_path):
    options = {"encoder": "efficientformer_l1", "image_size": "64"}
    _, weights = write_classifier(tmp_path, "efficientformer_l1", 224)
    with pytest.raises(InputError, match=r"cannot process images of 64 px .*image_size=224"):
        GradCam.load(weights, options)


def test_planes_of_every_layout():
    features = torch.arange(24.0).view(1, 6, 2, 2)
    layer = Layer("x", nn.Identity(), (2, 2))
    tokens = features.flatten(2).transpose(1, 2)
    prefixed = torch.cat([torch.full((1, 3, 6), -1.0), tokens], dim=1)
    for output in (features, features.permute(0, 2, 3, 1), tokens, prefixed):
        assert torch.equal(layer.planes(output), features)
    unknown = Layer("x", nn.Identity(), None)
    assert torch.equal(unknown.planes(prefixed[:, 2:]), features)  # the largest square
