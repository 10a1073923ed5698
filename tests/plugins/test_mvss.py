from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins.losses import dice_losses
from plugins.mvss import Mvss, MvssConfig
from plugins.mvss.dual_attention import ChannelAttention, PositionAttention
from plugins.mvss.edge_branch import SobelGate
from plugins.mvss.targets import edge_target
from plugins.mvss.trunk import create_trunk
from plugins.targets import edges

SMALL = {"encoder": "test_resnet", "encoder_weights": "none", "image_size": 64, "width": 16}
UNUSED_CLASSIFIERS = 2 * (2048 + 1) * 1000  # of the trunks, which the papers' count includes


def build(**options):
    torch.manual_seed(0)
    return Mvss(MvssConfig(**SMALL | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_size_of_the_paper():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = Mvss(MvssConfig(encoder_weights="none"))
        macs, output = count_macs(lambda: network(torch.zeros(2, 3, 512, 512)))
    assert count(network) + UNUSED_CLASSIFIERS == pytest.approx(146.9e6, rel=0.002)
    assert count(network.head) == pytest.approx(95.7e6, rel=0.002)
    assert macs / 2e9 == pytest.approx(166, rel=0.005)
    assert macs / 2e9 == pytest.approx(Mvss.gmacs, rel=0.001)
    assert output.mask_logits.shape == (2, 1, 32, 32)
    assert output.edge_logits.shape == (2, 1, 128, 128)


def test_the_last_stage_is_dilated_by_one_two_and_four():
    trunk = create_trunk("resnet50", "none")
    found = [block.conv2.dilation[0] for block in trunk.layer4]
    assert found == [1, 2, 4]
    assert trunk.feature_info.reduction() == [4, 8, 16, 16]
    with torch.no_grad():
        sides = [level.shape[-1] for level in trunk(torch.zeros(1, 3, 64, 64))]
    assert sides == [16, 8, 4, 4]


def test_the_score_is_the_maximum_of_the_map(network, batch):
    with torch.no_grad():
        scores, maps, _ = network.predict(batch.images)
    torch.testing.assert_close(scores, maps.amax(dim=(1, 2, 3)))


def test_terms_by_hand(network, batch):
    output, fakes = network(batch.images), batch.labels == 1
    logits = F.interpolate(output.mask_logits, (64, 64), mode="bilinear")
    contour = F.max_pool2d(edges(batch.maps, 3), 4)
    scores = output.mask_logits.amax(dim=(1, 2, 3)).sigmoid()
    expected = {
        "classification": 0.04 * F.binary_cross_entropy(scores, batch.labels.float()),
        "map": 0.16 * dice_losses(logits.sigmoid(), batch.maps)[fakes].mean(),
        "edge": 0.80 * dice_losses(output.edge_logits.sigmoid(), contour)[fakes].mean(),
    }
    torch.testing.assert_close(network.loss(batch), expected)
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}


def test_real_faces_alone_cost_their_entropy(batch):
    network = build()
    reals = batch._replace(labels=torch.zeros(8, dtype=torch.int64), maps=torch.zeros(8, 1, 64, 64))
    terms = network.loss(reals)
    assert sum(terms.values()) == terms["classification"]
    scores = network.predict(batch.images).scores
    torch.testing.assert_close(terms["classification"], -0.04 * (1 - scores).log().mean())
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_maps_are_hard_unless_asked(network, batch):
    weak = batch._replace(maps=batch.maps * 0.6)
    torch.testing.assert_close(network.loss(weak), network.loss(batch))
    soft = build(map_mode="soft").loss(weak)
    assert soft["map"] > network.loss(batch)["map"]
    torch.testing.assert_close(soft["edge"], network.loss(batch)["edge"])


def test_bayar_kernels_sum_to_zero_after_ten_steps(batch):
    network = build().train()
    before = network.bayar.kernels().detach()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        sum(network.loss(batch).values()).backward()
        optimizer.step()
    after = network.bayar.kernels().detach()
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after.sum(dim=(2, 3)), torch.zeros(3, 1), atol=1e-5, rtol=0)


def test_the_noise_trunk_sees_bt601_grey_without_flat_areas(network):
    seen = []
    hook = network.noise_trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    colours = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    grey = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) * colours / 255
    with torch.no_grad():
        network(network.input_spec.standardise(colours))
        network(torch.ones(1, 3, 64, 64))
        expected = network.bayar(grey.sum(dim=1, keepdim=True))
    hook.remove()
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(seen[0][inside], expected[inside], atol=1e-5, rtol=1e-4)
    assert seen[1][inside].abs().max() < 1e-5


def test_edges_open_the_gate_and_the_border_is_none():
    gate = SobelGate().eval()
    features = torch.zeros(1, 3, 12, 12)
    features[..., 6:] = 1
    opened = gate(1 + features) / (1 + features)
    magnitude = (12 / (1 + 1e-5) ** 0.5,)  # three channels, a step of 1: 3 * (1 + 2 + 1)
    expected = torch.full((12,), 0.5)
    expected[5:7] = torch.tensor(magnitude).sigmoid()
    torch.testing.assert_close(opened, expected.expand(1, 3, 12, 12))
    flat = torch.zeros(1, 2, 5, 5, requires_grad=True)
    gate(flat).sum().backward()
    assert flat.grad.isfinite().all()


def test_attention_starts_as_the_identity_and_then_mixes():
    features = torch.randn(2, 16, 4, 5)
    position, channel = PositionAttention(16), ChannelAttention()
    for module in (position, channel):
        assert torch.equal(module(features), features)
        nn.init.ones_(module.gate)
    tokens = features.flatten(2)
    energy = tokens @ tokens.mT
    shares = (-energy).softmax(dim=2)  # dissimilar channels weigh most
    torch.testing.assert_close(channel(features), features + (shares @ tokens).view_as(features))
    query, key, value = (
        part(features).flatten(2) for part in (position.query, position.key, position.value)
    )
    shares = (query.mT @ key).softmax(dim=2)
    expected = features + (value @ shares.mT).view_as(features)
    torch.testing.assert_close(position(features), expected)


@pytest.mark.parametrize(("size", "width"), [(512, 7), (256, 3), (64, 3), (1024, 13)])
def test_edge_targets_keep_their_share_of_the_image(size, width):
    maps = torch.zeros(1, 1, size, size)
    maps[..., : size // 2] = 1
    found = edge_target(maps * 0.7, torch.Size((size, size)), 7.0)
    assert torch.equal(found, edges(maps, width))
    coarse = edge_target(maps, torch.Size((size // 4, size // 4)), 7.0)
    assert torch.equal(coarse, F.max_pool2d(found, 4))


@pytest.mark.parametrize("size", [(64, 64), (72, 100)])
def test_any_size(network, size):
    with torch.no_grad():
        output = network(torch.randn(1, 3, *size))
    assert output.mask_logits.shape[-2:] == tuple(-(-side // 16) for side in size)
    assert output.edge_logits.shape[-2:] == tuple(side // 4 for side in size)


@pytest.mark.parametrize(
    "change",
    [{"image_size": 32}, {"width": 12}, {"map_weight": -1.0}, {"edge_width": 0}],
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        MvssConfig(**change)


def test_other_trunks_are_refused():
    with pytest.raises(InputError, match="not a ResNet"):
        build(encoder="mobilenetv2_100")
