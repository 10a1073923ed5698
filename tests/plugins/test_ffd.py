from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins import create_backbone
from plugins.ffd import FFD, FFDConfig
from plugins.targets import area_average


def build(**options):
    torch.manual_seed(0)
    return FFD(FFDConfig(**{"encoder_weights": "none", "image_size": 64} | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


@pytest.mark.parametrize("after", [4, 7])
def test_size_of_the_code(after):
    with FakeTensorMode():  # shapes alone, nothing computed
        network = FFD(FFDConfig(encoder_weights="none", after=after))
        macs, (_, maps) = count_macs(lambda: network.network(torch.zeros(2, 3, 299, 299)))
        plain = create_backbone("legacy_xception", "none", num_classes=2)
    added = sum(p.numel() for p in network.network.attention.parameters())
    total = sum(p.numel() for p in network.parameters())
    assert added == 7_280
    assert total - added == sum(p.numel() for p in plain.parameters())
    assert total / 1e6 == pytest.approx(20.8, rel=0.01)
    assert macs / 2e9 == pytest.approx(8.4, rel=0.01)
    assert maps.shape == (2, 1, 19, 19)


def test_a_small_face_has_a_small_map(network):
    with torch.no_grad():
        assert network.predict(torch.zeros(1, 3, 96, 96)).maps.shape == (1, 1, 6, 6)


@pytest.mark.parametrize("after", [4, 7])
def test_under_a_map_of_ones_it_is_a_plain_xception(after, batch):
    network = build(after=after).network
    torch.manual_seed(0)
    plain = create_backbone("legacy_xception", "none", num_classes=2).eval()
    with torch.no_grad():
        features = network.before(batch.images)
        logits = network.classify(features, torch.ones(8, 1, 1, 1))
        torch.testing.assert_close(logits, plain(batch.images))
        halved = network.classify(features, torch.full((8, 1, 1, 1), 0.5))
    assert not torch.allclose(logits, halved)


def test_a_real_face_under_an_empty_map_stays_finite(network, batch):
    network = build().train()
    features = network.network.before(batch.images)
    logits = network.network.classify(features, torch.zeros(8, 1, 4, 4))
    F.cross_entropy(logits, batch.labels).backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.network.classifier.parameters())


def test_gradients_of_class_and_map_reach_the_block_before_the_attention(batch):
    network = build().train()
    weight = network.network.before[-1].rep[1].conv1.weight
    reached = []
    for maps in (batch.maps, None):
        terms = network.loss(batch._replace(maps=maps))
        for name in ("classification", "map"):
            (gradient,) = torch.autograd.grad(terms[name], weight, retain_graph=True)
            reached.append(float(gradient.abs().max()))
    assert min(reached) > 0


def test_losses_by_hand(network, batch):
    logits, map_logits = network.network(batch.images)
    chance = map_logits.sigmoid()
    distance = (chance - area_average(batch.maps, chance.shape[-2:])).abs().mean()
    classification = -logits.log_softmax(dim=1)[torch.arange(8), batch.labels].mean()
    expected = {"classification": classification, "map": distance}
    torch.testing.assert_close(network.loss(batch), expected)
    highest, labels = chance.amax(dim=(1, 2, 3)), batch.labels.float()
    entropy = -(labels * highest.log() + (1 - labels) * (1 - highest).log()).mean()
    expected = {"classification": classification, "map": entropy}
    torch.testing.assert_close(network.loss(batch._replace(maps=None)), expected)
    doubled = build(map_weight=2.0).loss(batch)
    torch.testing.assert_close(doubled["map"], 2 * distance)


def test_hard_maps_are_thresholded_before_they_are_averaged(network, batch):
    weak = batch._replace(maps=batch.maps * 0.6)
    torch.testing.assert_close(build(map_mode="hard").loss(weak), network.loss(batch))
    assert network.loss(weak)["map"] != network.loss(batch)["map"]


@pytest.mark.parametrize(
    "change", [{"image_size": 32}, {"after": 5}, {"map_weight": -1.0}, {"map_threshold": 0.0}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        FFDConfig(**change)
