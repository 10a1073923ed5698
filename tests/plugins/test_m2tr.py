from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins.m2tr import M2tr, M2trConfig
from plugins.m2tr.block import CrossModalityAttention
from plugins.m2tr.frequency_filter import FrequencyFilter
from plugins.m2tr.patch_attention import PatchAttention, attend_patches


def build(**options):
    torch.manual_seed(0)
    small = {"encoder": "test_efficientnet", "encoder_weights": "none", "image_size": 64}
    return M2tr(M2trConfig(**small | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_size_of_the_code():
    with FakeTensorMode():  # shapes alone, nothing computed
        network, images = M2tr(M2trConfig(encoder_weights="none")), torch.zeros(2, 3, 320, 320)
        macs, _ = count_macs(lambda: network.classify_features(network.embed(images)))
        whole, output = count_macs(lambda: network(images))
        features = network.embed(images)
    assert count(network) == pytest.approx(18.6e6, rel=0.002)
    assert count(network.blocks) == pytest.approx(1.06e6, rel=0.01)
    assert network.blocks[0].frequencies.weight.numel() == 2 * 104_960
    assert macs / 2e9 == pytest.approx(15.0, rel=0.005)  # the code runs without its decoder
    assert whole / 2e9 == pytest.approx(M2tr.gmacs, rel=0.001)
    assert features.shape == (2, 32, 80, 80)
    assert output.map_logits.shape == (2, 1, 320, 320)


def test_a_filter_of_ones_is_the_identity():
    branch, features = FrequencyFilter(6, 12), torch.randn(2, 6, 12, 12)
    with torch.no_grad():
        assert branch.weight.std() == pytest.approx(0.02, rel=0.1)
        branch.weight.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand_as(branch.weight))
        torch.testing.assert_close(branch.filter(features), features)
        larger = torch.randn(1, 6, 20, 16)  # the filter is interpolated
        torch.testing.assert_close(branch.filter(larger), larger)
        expected = features + branch.feed_forward(features)
        torch.testing.assert_close(branch(features), expected)


def test_a_filter_of_phases_moves_the_features():
    branch, features = FrequencyFilter(1, 8), torch.randn(1, 1, 8, 8)
    turns = torch.exp(-2j * torch.pi * torch.arange(8) / 8)[:, None].expand(8, 5)
    with torch.no_grad():
        branch.weight.copy_(torch.stack([turns.real, turns.imag])[:, None])
        moved = branch.filter(features)
    torch.testing.assert_close(moved, features.roll(1, dims=2), atol=1e-5, rtol=1e-5)


def test_one_patch_returns_the_values_unchanged():
    query, key, value = torch.randn(3, 2, 5, 8, 8)
    assert torch.equal(attend_patches(query, key, value, 8), value)


@pytest.mark.parametrize("side", [4, 2])
def test_patches_attend_as_whole_tokens(side):
    query, key, value = torch.randn(3, 2, 3, 8, 8)

    def cut(features):  # (B, C * side * side, patches)
        return F.unfold(features, side, stride=side)

    shares = (cut(query).mT @ cut(key) / (3 * side * side) ** 0.5).softmax(dim=2)
    expected = F.fold(cut(value) @ shares.mT, (8, 8), side, stride=side)
    torch.testing.assert_close(attend_patches(query, key, value, side), expected)


def test_heads_have_patches_of_four_sizes(monkeypatch):
    sides = []

    def attend(query, key, value, side):
        assert query.shape == key.shape == value.shape == (1, 2, 16, 16)
        sides.append(side)
        return value

    monkeypatch.setattr("plugins.m2tr.patch_attention.attend_patches", attend)
    PatchAttention(8).eval()(torch.randn(1, 8, 16, 16))
    assert sides == [16, 8, 4, 2]


def test_exchange_is_attention_over_all_positions():
    exchange = CrossModalityAttention(4).eval()
    asking, asked = torch.randn(2, 2, 4, 3, 5)
    query, key, value = (
        part(given).flatten(2)
        for part, given in (
            (exchange.query, asking),
            (exchange.key, asked),
            (exchange.value, asked),
        )
    )
    shares = (query.mT @ key / 2).softmax(dim=2)
    attended = (value @ shares.mT).view(2, 4, 3, 5)
    torch.testing.assert_close(exchange(asking, asked), asking + exchange.out(attended))


@pytest.mark.parametrize("size", [64, 96])
def test_sizes_that_divide_by_32(network, size):
    with torch.no_grad():
        scores, maps, _ = network.predict(torch.randn(2, 3, size, size))
    assert scores.shape == (2,)
    assert maps.shape == (2, 1, size, size)


def test_losses_by_hand(network, batch):
    output = network(batch.images)
    weak = batch._replace(maps=batch.maps * 0.6)
    chance = output.map_logits.sigmoid()
    entropy = -(weak.maps * chance.log() + (1 - weak.maps) * (1 - chance).log())
    expected = {
        "classification": F.cross_entropy(output.logits, batch.labels),
        "map": entropy.mean(),
    }
    torch.testing.assert_close(network.loss(weak), expected)
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}
    hard = build(map_mode="hard", map_weight=3.0)
    torch.testing.assert_close(hard.loss(weak)["map"], 3 * network.loss(batch)["map"])


def test_the_class_needs_the_blocks(network, batch):
    network = build().train()
    network.loss(batch._replace(maps=None))["classification"].backward()
    reached = [p.grad is not None and p.grad.any() for p in network.blocks.parameters()]
    assert all(reached)
    assert all(p.grad is None for p in network.locate.parameters())
    assert isinstance(network.locate[-1], nn.Conv2d)


@pytest.mark.parametrize(
    "change", [{"image_size": 80}, {"dropout": 1.0}, {"map_weight": -1.0}, {"map_mode": "grey"}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        M2trConfig(**change)


def test_other_encoders_are_refused():
    with pytest.raises(InputError, match="not an EfficientNet"):
        build(encoder="test_resnet")
