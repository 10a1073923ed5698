from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import nn
from torch._subclasses import FakeTensorMode

from focus.cli import main
from focus.errors import InputError
from focus.macs import count_macs
from focus.mapstore import MapReader
from focus.runs import describe_run, save_weights
from focus.types import Batch
from plugins import create_backbone
from plugins.patches import Patches, PatchesConfig
from plugins.targets import area_average


def build(**options):
    torch.manual_seed(0)
    return Patches(PatchesConfig(**{"encoder_weights": "none", "image_size": 64} | options))


def build_scaled(**options):
    """Return a network whose untrained features vary, in evaluation mode too."""
    network = build(**options)
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def label(images, labels, maps=None):
    keys = tuple(map(str, range(len(labels))))
    return Batch(images, torch.tensor(labels), maps, keys, torch.arange(len(labels)))


def train(network, batches):
    optimizer = torch.optim.Adam(network.train().parameters(), network.optimizer.lr)
    for batch in batches:
        optimizer.zero_grad()
        sum(network.loss(batch).values()).backward()
        optimizer.step()
    return network.eval()


@pytest.mark.parametrize(
    ("block", "millions", "macs", "side"),
    [(1, 0.055, 1.03, 74), (2, 0.19, 1.63, 37), (3, 1.1, 2.69, 19), (4, 2.7, 3.27, 19)],
)
def test_size_of_the_papers(block, millions, macs, side):
    with FakeTensorMode():  # shapes alone, nothing computed
        network = Patches(PatchesConfig(encoder_weights="none", block=block))
        found, logits = count_macs(lambda: network(torch.zeros(2, 3, 299, 299)))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
    assert found / 2e9 == pytest.approx(macs, abs=0.005)
    assert logits.shape == (2, 2, side, side)
    assert network.input_spec.mean == network.input_spec.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("block", "field", "stride"), [(1, 19, 4), (2, 43, 8)])
def test_a_cell_depends_on_its_receptive_field_alone(block, field, stride):
    network, side = build_scaled(block=block).double().eval(), 4 * field
    images = torch.rand(1, 3, side, side, dtype=torch.float64)
    cell = side // 2 // stride
    start = cell * stride + 3 - field // 2  # pixel 3 is the centre of the first cell
    inside = torch.zeros(side, side, dtype=torch.bool)
    inside[start : start + field, start : start + field] = True
    narrower = torch.zeros_like(inside)
    narrower[start + 1 : start + field - 1, start + 1 : start + field - 1] = True

    def changed(kept):
        others = torch.where(kept, images, torch.rand_like(images))
        with torch.no_grad():
            first, second = (network(x)[0] for x in (images, others))
        assert not torch.equal(first, second)
        return not torch.equal(first[:, cell, cell], second[:, cell, cell])

    assert not changed(inside)
    assert changed(narrower)


def test_noise_at_four_fakes_to_a_real_face_is_undecided():
    network = build_scaled(block=1, image_size=32)
    labels = [0, 1, 1, 1, 1] * 4
    train(network, (label(torch.randn(20, 3, 32, 32), labels) for _ in range(100)))
    assert network.seen.tolist() == [400, 1600]
    faces = torch.randn(64, 3, 32, 32)
    with torch.no_grad():
        prediction = network.predict(faces)
        plain = network(faces).softmax(dim=1)[:, 1]
    assert plain.mean() > 0.7  # the share of fakes
    assert prediction.maps.mean() == pytest.approx(0.5, abs=0.05)


def drawn(count, size=48):
    """Return smooth images, every second with a noisy square that makes it a fake."""
    images = F.interpolate(torch.randn(count, 3, 6, 6), (size, size), mode="bilinear")
    maps = torch.zeros(count, 1, size, size)
    for face in range(1, count, 2):
        top, left = torch.randint(0, size - 20, (2,)).tolist()
        maps[face, :, top : top + 20, left : left + 20] = 1
    return images + torch.randn(images.shape) * maps, [0, 1] * (count // 2), maps


@pytest.mark.parametrize("reduction", ["cells", "mean", "max"])
def test_labels_alone_locate_a_local_forgery(reduction):
    network = build_scaled(block=1, reduction=reduction)  # a cell sees 19 of 48 pixels
    train(network, (label(*drawn(8)[:2]) for _ in range(30)))
    images, labels, truth = drawn(32)
    with torch.no_grad():
        scores, maps, _ = network.predict(images)
    fakes = slice(1, None, 2)
    forged = area_average(truth, maps.shape[-2:])[fakes] > 0.5
    assert roc_auc_score(forged.flatten(), maps[fakes].flatten()) > 0.8
    assert roc_auc_score(labels, scores) > 0.8


def test_losses_by_hand(batch):
    network = build_scaled().eval()
    nn.init.normal_(network.cells.weight, std=0.05)
    logits = network(batch.images).detach()
    chance = logits.softmax(dim=1)
    own = chance[torch.arange(8), batch.labels]  # (B, h, w)
    margins = (logits[:, 1] - logits[:, 0]).flatten(1)
    expected = {
        "cells": -own.log().mean(),
        "mean": -own.mean(dim=(1, 2)).log().mean(),
        "max": -own.flatten(1)[torch.arange(8), margins.argmax(dim=1)].log().mean(),
    }
    for reduction, value in expected.items():
        network.config = PatchesConfig(reduction=reduction)
        terms = network.loss(batch._replace(maps=None))
        torch.testing.assert_close(terms, {"classification": value})
    cover = area_average(batch.maps, logits.shape[-2:])[:, 0]
    entropy = -(cover * chance[:, 1].log() + (1 - cover) * chance[:, 0].log())
    torch.testing.assert_close(network.loss(batch), {"map": entropy.mean()})


def test_hard_maps_are_thresholded_before_they_are_averaged(batch):
    network = build_scaled().eval()
    nn.init.normal_(network.cells.weight, std=0.05)
    weak = batch._replace(maps=batch.maps * 0.6)
    torch.testing.assert_close(network.loss(weak), network.loss(batch))
    network.config = PatchesConfig(map_mode="soft")
    assert network.loss(weak)["map"] != network.loss(batch)["map"]


def test_the_prior_is_counted_in_training_on_labels_only(batch):
    network = build()
    network.loss(batch)
    network.eval().loss(batch._replace(maps=None))
    assert network.seen.tolist() == [0, 0]
    assert network.prior == 0
    fakes = batch._replace(labels=torch.ones(8, dtype=torch.int64), maps=None)
    network.train().loss(fakes)
    assert network.seen.tolist() == [0, 8]
    torch.testing.assert_close(network.prior, torch.tensor(9.0).log())


def test_weights_of_a_whole_xception_fill_the_first_blocks(tmp_path):
    torch.manual_seed(1)
    whole, path = create_backbone("legacy_xception", "none"), tmp_path / "xception.safetensors"
    save_file(whole.state_dict(), path)
    backbone = build(encoder_weights=str(path), block=3).backbone
    for number, block in enumerate(backbone.blocks, 1):
        for key, value in getattr(whole, f"block{number}").state_dict().items():
            assert torch.equal(value, block.state_dict()[key])
    assert torch.equal(backbone.stem[3].weight, whole.conv2.weight)


def test_weights_from_nothing_are_small():
    spread = build().backbone.blocks[1].skip.weight.detach().std()  # of 128 to 256 channels
    assert spread == pytest.approx(0.02 * (2 / (128 + 256)) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("encoder", "size", "stage", "grid"),
    [("mobilenetv2_100", 224, 3, 14), ("vit_small_patch14_dinov2", 224, -1, 16)],
)
def test_other_encoders_give_their_grid(encoder, size, stage, grid):
    network = build(encoder=encoder, image_size=size, stage=stage).eval()
    nn.init.normal_(network.cells.weight)
    with torch.no_grad():
        images = torch.rand(1, 3, size, size)
        prediction = network.predict(images)
        planes = network.backbone(images)
        tokens = network.backbone.reading.read(network.backbone.body, images)
    assert prediction.maps.shape == (1, 1, grid, grid)
    assert torch.equal(planes[0, :, 2, 1], tokens[0, 2 * grid + 1])
    assert network.input_spec.mean == (0.485, 0.456, 0.406)


def test_a_run_of_it_generates_maps_whose_mean_is_the_score(demo_corpus, tmp_path):
    network, run, out = build_scaled().eval(), tmp_path / "run", tmp_path / "maps.h5"
    nn.init.normal_(network.cells.weight, std=0.05)
    network.seen.copy_(torch.tensor([10, 40]))  # a state that a run must keep
    run.mkdir()
    save_weights(network, run / "best.safetensors")
    (run / "config.json").write_text(json.dumps(describe_run("patches", network.config)))
    command = ["generate", "--method", "patches", "--weights", str(run), "--quiet"]
    maps = ["--data", str(demo_corpus), "--real-maps", "fake-class", "--out", str(out)]
    assert main([*command, *maps]) == 0
    with MapReader(out) as reader:
        means = np.array([reader[key].mean() for key in reader])
        np.testing.assert_allclose(means, reader.scores, atol=2e-3)
        assert next(reader[key].shape for key in reader) == (8, 8)


@pytest.mark.parametrize(
    "change",
    [{"image_size": 16}, {"map_threshold": 0.0}, {"block": 5}, {"reduction": "sum"}, {"stage": 3}],
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        PatchesConfig(**change)
