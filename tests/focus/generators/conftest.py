"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import pytest
import timm
import torch

from focus.runs import save_weights
from tests.focus.generators.explained_networks import SIDE, VIT, enlarge


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return enlarge(timm.create_model(VIT, img_size=SIDE, num_classes=2))


@pytest.fixture(scope="module")
def vit_file(vit, tmp_path_factory):
    file = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_weights(vit, file)
    return file


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
