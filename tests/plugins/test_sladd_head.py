from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins import create_backbone
from plugins.losses import am_softmax
from plugins.sladd_head import SladdHead, SladdHeadConfig
from plugins.targets import area_average


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = SladdHead(SladdHeadConfig(encoder_weights="none", image_size=64)).eval()
    nn.init.normal_(network.locate[-1].weight)  # maps that vary
    return network


def test_size_of_the_code():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = SladdHead(SladdHeadConfig(encoder_weights="none"))
        macs, output = count_macs(lambda: network(torch.zeros(2, 3, 256, 256)))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(20.8e6, rel=0.002)
    assert macs / 2e9 == pytest.approx(6.0, rel=0.01)
    assert macs / 2e9 == pytest.approx(SladdHead.gmacs, rel=0.01)
    assert output.map_logits.shape == (2, 1, 16, 16)


def test_the_class_is_judged_by_xceptions_own_features(network, batch):
    whole = create_backbone("legacy_xception", "none", num_classes=0).eval()
    halves = (network.before, network.behind)
    values = [value for half in halves for value in half.state_dict().values()]
    whole.load_state_dict(dict(zip(whole.state_dict(), values, strict=True)))
    with torch.no_grad():
        features = whole(batch.images)
        output = network(batch.images)
        scores = network.predict(batch.images).scores
    expected = F.cosine_similarity(features[:, None], network.classes.weight, dim=2)
    torch.testing.assert_close(output.cosines, expected)
    torch.testing.assert_close(scores, (30 * (expected[:, 1] - expected[:, 0])).sigmoid())


def test_losses_by_hand(network, batch):
    output = network(batch.images)
    weak = batch._replace(maps=batch.maps * 0.6)
    cells = area_average(weak.maps, 4)
    expected = {
        "classification": am_softmax(output.cosines, batch.labels, 30, 0.45),
        "map": 0.1 * (output.map_logits.sigmoid() - cells).square().mean(),
    }
    torch.testing.assert_close(network.loss(weak), expected)
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}
    sharp = SladdHead(
        SladdHeadConfig(encoder_weights="none", image_size=64, map_mode="hard")
    ).eval()
    sharp.load_state_dict(network.state_dict())
    torch.testing.assert_close(sharp.loss(weak)["map"], network.loss(batch)["map"])


@pytest.mark.parametrize(
    "change", [{"image_size": 32}, {"scale": 0.0}, {"margin": -0.1}, {"map_threshold": 0.0}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        SladdHeadConfig(**change)
