from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.functional import interpolate

from focus.errors import InputError
from focus.macs import count_macs
from focus.optim import learning_rate
from plugins.differences import first_differences
from plugins.hpfcn import HPFCN, HPFCNConfig
from plugins.hpfcn.model import focal_loss
from plugins.hpfcn.network import Body, Bottleneck, upsample


def build(**options):
    torch.manual_seed(0)
    return HPFCN(HPFCNConfig(**{"image_size": 64, "width": 4} | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("kind", "millions", "macs", "up"), [("code", 7.70, 8.7, 4.21), ("mixed", 3.56, 7.58, 0.0658)]
)
def test_size(kind, millions, macs, up):
    with FakeTensorMode():  # shapes alone, nothing computed
        network = HPFCN(HPFCNConfig(upsampling=kind))
        images = torch.zeros(2, 3, 256, 256)
        found, (logits, pixels) = count_macs(lambda: network(images))
        features = network.body(network.high_pass(images))
    assert count(network) / 1e6 == pytest.approx(millions, rel=0.01)
    assert count(network.pixels[:2]) / 1e6 == pytest.approx(up, rel=0.01)
    assert found / 2e9 == pytest.approx(macs, rel=0.01)
    assert features.shape == (2, 1024, 16, 16)
    assert logits.shape == (2, 2)
    assert pixels.shape == (2, 2, 256, 256)


def test_residuals_of_a_constant_image_are_zero_inside_the_border(network):
    with torch.no_grad():
        flat = network.high_pass(torch.full((1, 3, 32, 32), 0.7))
    assert flat[..., :-1, :-1].abs().max() < 1e-6
    assert flat[..., -1, :].abs().max() > 0.5  # against the zeros outside


def test_residuals_are_differences_to_three_neighbours():
    image = torch.zeros(1, 2, 5, 5)
    image[0, 1, 2, 2] = 1
    with torch.no_grad():
        values = first_differences(2)(image).unflatten(1, (2, 3))[0]
    assert values[0].abs().max() == 0
    assert values[1, :, 2, 2].tolist() == [-1, -1, -1]
    assert values[1, 0, 1, 2] == values[1, 1, 2, 1] == values[1, 2, 1, 1] == 1
    assert values.abs().sum() == 6


def test_a_grey_level_is_seen_under_autocast(network):
    images = torch.full((1, 3, 32, 32), 0.9)
    images[..., 16] += 1 / 255
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.high_pass(images)
    torch.testing.assert_close(found[0, 1, 8, 15], torch.tensor(1 / 255), rtol=1e-4, atol=0)


def test_the_second_bottleneck_halves_the_size_and_keeps_its_input():
    unit = Bottleneck(16, 4, stride=2).eval()
    nn.init.zeros_(unit.residual[-1].weight)
    nn.init.zeros_(unit.residual[-1].bias)
    features = torch.randn(1, 16, 8, 8)
    torch.testing.assert_close(unit(features), features[..., ::2, ::2])
    assert Body(2)(torch.zeros(1, 9, 64, 48)).shape == (1, 64, 4, 3)


def test_transposed_channels_never_part_and_mixed_ones_do(batch):
    spread = {}
    for kind in ("code", "mixed"):
        network = build(upsampling=kind).train()
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            sum(network.loss(batch).values()).backward()
            optimizer.step()
        features = network.pixels[0](torch.randn(1, 128, 4, 4)).detach()
        spread[kind] = float((features - features[:, :1]).abs().max() / features.abs().max())
    assert spread["code"] < 1e-6
    assert spread["mixed"] > 0.1


@pytest.mark.parametrize("kind", ["code", "mixed"])
def test_both_enlarge_bilinearly_by_sixteen(kind):
    torch.manual_seed(0)
    first, second = upsample(3, kind)[:2]
    features = torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        found = second(first(features))
        if kind == "code":
            mixed = features.sum(dim=1, keepdim=True) * 64
        else:
            mixed = second.mix(first.mix(features))[:, :1]
    once = interpolate(mixed, scale_factor=4, mode="bilinear", align_corners=False)
    twice = interpolate(once, scale_factor=4, mode="bilinear", align_corners=False)
    inside = (..., slice(16, -16), slice(16, -16))
    torch.testing.assert_close(found[:, :1][inside], twice[inside], rtol=1e-4, atol=1e-4)


def test_losses_by_hand(network, batch):
    logits, pixels = network(batch.images)
    chance = pixels.softmax(dim=1)[:, 1:]
    focal = -(batch.maps * (1 - chance) ** 2 * chance.log())
    focal = (focal - (1 - batch.maps) * chance**2 * (1 - chance).log()).mean()
    terms = network.loss(batch)
    torch.testing.assert_close(terms["map"], focal)
    own = logits.log_softmax(dim=1)[torch.arange(8), batch.labels]
    torch.testing.assert_close(terms["classification"], -own.mean())
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}
    weak = batch._replace(maps=batch.maps * 0.6)
    torch.testing.assert_close(network.loss(weak), terms)
    assert build(map_mode="soft").loss(weak)["map"] != terms["map"]


def test_focal_loss_of_a_sure_and_right_pixel_is_nothing():
    truth = torch.tensor([[[1.0], [0.0]]])
    sure = torch.tensor([[[50.0], [-50.0]]], requires_grad=True)
    loss = focal_loss(sure, truth)
    loss.backward()
    assert loss == 0
    assert sure.grad.isfinite().all()


def test_the_rate_is_halved_after_each_of_ten_epochs():
    rates = [learning_rate(epoch * 10 + 5, 100, HPFCN.optimizer) for epoch in range(10)]
    assert rates == pytest.approx([1e-4 * 0.5**epoch for epoch in range(10)])


@pytest.mark.parametrize(
    "change", [{"image_size": 72}, {"width": 0}, {"upsampling": "none"}, {"map_threshold": 0.0}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        HPFCNConfig(**change)
