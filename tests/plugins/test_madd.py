"""MaDD against the paper's sizes, timm's padding, and losses worked out by hand."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from timm.layers import Conv2dSame

from focus.errors import InputError
from focus.macs import count_macs
from focus.optim import learning_rate
from plugins.madd import MultiAttention, MultiAttentionConfig
from plugins.madd.attention import AttentionHead
from plugins.madd.augmentation import draw_attention, drop_attended
from plugins.madd.independence import RegionIndependence
from plugins.madd.padding import EvenSameConv2d
from plugins.madd.pooling import pool, standardise

SMALL = MultiAttentionConfig(encoder="tf_efficientnet_b0", encoder_weights="none", image_size=64)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MultiAttention(SMALL)


def test_paper_size():
    network = MultiAttention(MultiAttentionConfig(encoder_weights="none")).eval()
    assert sum(p.numel() for p in network.parameters()) == 18_822_482  # 18.8 M
    seen = []
    network.texture.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    macs, prediction = count_macs(lambda: network.predict(torch.rand(1, 3, 380, 380)))
    level, attentions = seen
    assert level.shape == (1, 32, 95, 95)
    assert attentions.shape == (1, 4, 23, 23)
    assert prediction.maps.shape == (1, 1, 23, 23)
    assert macs / 1e9 == pytest.approx(7.3, abs=0.05)
    assert network.input_spec.image_size == 380


def test_padding_is_that_of_an_even_side():
    for kernel in (3, 5):
        theirs = Conv2dSame(2, 2, kernel, stride=2, bias=False)
        ours = EvenSameConv2d(2, 2, kernel, 2, bias=False)
        ours.weight = theirs.weight
        even = torch.rand(1, 2, 12, 12)
        torch.testing.assert_close(ours(even), theirs(even))
        assert ours(torch.rand(1, 2, 95, 95)).shape[-2:] == (47, 47)  # theirs: 48


def test_weights_of_the_terms(network, monkeypatch, noise_faces):
    network.eval()  # so that running statistics do not move between the two
    terms = [network.loss(noise_faces([0, 1]))]
    double = dataclasses.replace(SMALL, independence_weight=1.0, drop_weight=2.0, match_weight=0.2)
    monkeypatch.setattr(network, "config", double)
    terms.append(network.loss(noise_faces([0, 1])))
    for name in ("independence", "dropped", "match"):
        torch.testing.assert_close(terms[1][name], 2 * terms[0][name])
    torch.testing.assert_close(terms[1]["classification"], terms[0]["classification"])


def test_match_leaves_the_dropped_attention_out(network, monkeypatch, noise_faces):
    network = copy.deepcopy(network).eval()
    network.classifier[-1].weight.data.mul_(1e4)  # so that the logits of the two passes differ
    batch, seen = noise_faces([0, 1, 1, 0]), []

    def blacken(images, attention):
        seen.append(attention)
        return torch.zeros_like(images)

    monkeypatch.setattr("plugins.madd.model.drop_attended", blacken)
    torch.manual_seed(3)
    terms = network.loss(batch)
    torch.manual_seed(3)
    with torch.no_grad():
        output, black = network(batch.images), network(torch.zeros_like(batch.images))
    chosen = draw_attention(output.attentions).tolist()
    assert len(set(chosen)) > 1
    expected = 0.0
    for face, dropped in enumerate(chosen):
        torch.testing.assert_close(seen[0][face, 0], output.attentions[face, dropped])
        gaps = np.linalg.norm((output.regional - black.regional)[face], axis=1)
        expected += sum(gap for place, gap in enumerate(gaps) if place != dropped)
    assert terms["match"].item() == pytest.approx(0.1 * expected / 16, rel=1e-4)
    dropped = torch.nn.functional.cross_entropy(black.logits, batch.labels)
    torch.testing.assert_close(terms["dropped"], dropped)


def test_prediction_merges_the_attentions(network, monkeypatch, noise_faces):
    network.eval()
    images = noise_faces([0, 1, 1]).images
    with torch.no_grad():
        attentions = network(images).attentions
        found = {}
        for name in ("sum", "max", "2"):
            monkeypatch.setattr(network, "config", dataclasses.replace(SMALL, map=name))
            found[name] = network.predict(images)
    torch.testing.assert_close(found["sum"].parts["raw"][:, 0], attentions.sum(dim=1))
    torch.testing.assert_close(found["max"].parts["raw"][:, 0], attentions.max(dim=1).values)
    torch.testing.assert_close(found["2"].parts["raw"][:, 0], attentions[:, 2])
    for prediction in found.values():
        assert prediction.maps.min() == 0
        peaks = prediction.maps.amax(dim=(1, 2, 3))
        torch.testing.assert_close(peaks, prediction.scores)  # no hotter than the face is fake


def test_attention_is_nothing_at_the_border():
    head = AttentionHead(8, 4)
    values = head(torch.randn(2, 8, 24, 24))
    assert values[:, :, 2:-2, 2:-2].min() > 0
    inner = torch.zeros(24, 24)
    inner[2:-2, 2:-2] = 1
    assert (values * (1 - inner)).abs().max() == 0


def test_pooling_is_a_weighted_mean():
    features = torch.tensor([[[[1.0, 3.0]], [[10.0, 20.0]]]])  # (1, 2, 1, 2)
    attentions = torch.tensor([[[[3.0, 1.0]], [[0.0, 2.0]]]])
    assert pool(features, attentions).tolist() == [[[1.5, 12.5], [3.0, 20.0]]]
    own = torch.stack([features, -features], dim=1)[0][None]  # (1, M = 2, 2, 1, 2)
    assert pool(own, attentions).tolist() == [[[1.5, 12.5], [-3.0, -20.0]]]


def test_region_independence_by_hand():
    module = RegionIndependence(attentions=2, channels=2, decay_steps=1).train()
    module.centres.copy_(torch.tensor([[1.0, 0.0], [0.9, 0.0]]))
    features = torch.tensor([[[1.0, 1.0], [0.9, 0.1]], [[1.0, 0.3], [3.0, 0.0]]])
    found = module(features.requires_grad_(), torch.tensor([0, 1]))
    # Only the real face (the first) moves the centres, by 0.05 of half the way: it is half a batch.
    centres = np.array([[1.0, 0.025], [0.9, 0.0025]])
    np.testing.assert_allclose(module.centres, centres, rtol=1e-6)
    real = np.hypot(0.975, 0.0975) - 0.2  # one norm over both attentions
    fake = 0.0  # 2.1 away: further than 0.8
    pair = 0.8 - np.hypot(0.1, 0.0225)
    expected = (real + fake) / 2 + pair / (2 * 0.05)  # over M and alpha
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert features.grad[0, 0, 1] > 0  # a real face is drawn to its centre
    assert features.grad[1].abs().max() == 0  # a fake beyond the margin is left alone
    assert features.grad[0, 1, 0] > 0  # the second centre away from the first
    near = torch.tensor([[[1.0, 0.3], [0.9, 0.1]]], requires_grad=True)
    module.eval()(near, torch.tensor([1])).backward()
    assert near.grad[0, 0, 1] < 0  # a fake near the centres is pushed away
    assert module.centres[0, 1].item() == pytest.approx(0.025)
    module.train()(features.detach(), torch.tensor([0, 1]))
    moved = 0.025 + 0.05 * 0.9 * (1 - 0.025) / 2  # an epoch on: 0.9 of the momentum
    assert module.centres[0, 1].item() == pytest.approx(moved, rel=1e-5)


def test_features_are_standardised_over_the_plane():
    found = standardise(torch.tensor([[[[1.0, 3.0]], [[10.0, 40.0]]]]))
    root = 0.5**0.5  # the deviation of two values 2 d apart is sqrt(2) d
    torch.testing.assert_close(found, torch.tensor([[[[-root, root]], [[-root, root]]]]))


def test_regional_features_are_of_standardised_ones(network, noise_faces):
    network.eval()
    seen = []
    hook = network.texture.register_forward_hook(lambda _, __, output: seen.append(output[1]))
    with torch.no_grad():
        output = network(noise_faces([0, 1]).images)
    hook.remove()
    expected = torch.nn.functional.normalize(pool(standardise(seen[0]), output.attentions), dim=-1)
    torch.testing.assert_close(output.regional, expected)


def test_attentions_are_chosen_by_the_root_of_their_sums():
    torch.manual_seed(0)
    attentions = torch.zeros(4000, 2, 1, 1)
    attentions[:, 1] = 8.0  # sqrt(8 + 1) = 3 against 1
    assert draw_attention(attentions).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_encoder_drops_residual_branches_as_the_release_does(network):
    blocks = [block for stage in network.encoder.blocks for block in stage]
    assert blocks[-1].drop_path.drop_prob == pytest.approx(0.2 * (len(blocks) - 1) / len(blocks))
    assert network.encoder.bn1.momentum == pytest.approx(0.01)


def test_faces_of_one_class_leave_or_move_the_centres():
    module = RegionIndependence(attentions=2, channels=2, decay_steps=9).train()
    module(torch.rand(3, 2, 2), torch.ones(3, dtype=torch.long))
    assert module.centres.abs().sum() == 0
    module(torch.rand(3, 2, 2), torch.zeros(3, dtype=torch.long))
    assert module.centres.abs().sum() > 0


def test_drop_changes_only_what_is_attended():
    images = torch.rand(2, 3, 64, 64)
    attention = torch.zeros(2, 1, 8, 8)
    attention[:, :, :, 5:] = torch.tensor([7.0, 0.5]).view(2, 1, 1, 1)  # any scale
    dropped = drop_attended(images, attention)
    torch.testing.assert_close(dropped[..., :32], images[..., :32], atol=1e-6, rtol=0)
    attended = slice(48, None)
    assert (dropped[..., attended] - images[..., attended]).abs().mean() > 0.1
    assert dropped[..., attended].var() < images[..., attended].var() / 2  # blurred
    nothing = drop_attended(images, torch.zeros_like(attention))
    torch.testing.assert_close(nothing, images, atol=1e-6, rtol=0)


def test_rate_halves_every_tenth():
    rates = [learning_rate(step, 100, MultiAttention.optimizer) for step in (0, 9, 10, 55, 99)]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 1e-4 / 2**5, 1e-4 / 2**9])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", "resnet50"),
        ("image_size", 32),
        ("attentions", 0),
        ("map", "4"),
        ("match_weight", -1.0),
        ("decay_steps", 0),
    ],
)
def test_bad_options_are_named(name, value):
    with pytest.raises(InputError, match=f"--options {name}={value}"):
        MultiAttentionConfig(**{name: value})
