"""GFFD against the paper's sizes, the shared residuals, and an AM-softmax worked out by hand."""

import pytest
import torch

from focus.errors import InputError
from focus.macs import count_macs
from focus.modalities import srm
from plugins.gffd import Gffd, GffdConfig
from plugins.gffd.cross_modal_attention import CrossModalAttention
from plugins.gffd.multi_scale import channel_residuals
from plugins.losses import am_softmax


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Gffd(GffdConfig(encoder_weights="none", image_size=64))


def test_paper_size():
    network = Gffd(GffdConfig(encoder_weights="none")).eval()
    count = sum(p.numel() for p in network.parameters())
    assert count == 53_255_122
    assert count / 1e6 == pytest.approx(53.3, abs=0.05)
    macs, prediction = count_macs(lambda: network.predict(torch.rand(1, 3, 256, 256)))
    assert prediction.maps.shape == prediction.parts["raw"].shape == (1, 1, 125, 125)
    assert network.exchanges[0].mixing[0].in_features == 256  # a 16 x 16 grid
    assert macs / 1e9 == pytest.approx(14.0, abs=0.05)


def test_prediction_is_bounded_by_the_score(network, noise_faces):
    network.eval()
    with torch.no_grad():
        prediction = network.predict(noise_faces([0, 1]).images)
    raw = prediction.parts["raw"]
    assert raw.min() > 0
    assert raw.max() < 1
    assert prediction.maps.min() == 0
    torch.testing.assert_close(prediction.maps.amax(dim=(1, 2, 3)), prediction.scores)
    order = prediction.maps.flatten(1).argmax(dim=1)
    assert torch.equal(order, raw.flatten(1).argmax(dim=1))


def test_attention_filters_the_residuals_of_the_face_again(network):
    seen = []

    def listen(module):
        return module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    hooks = [listen(module) for module in (network.attention, network.attention.layers)]
    faces = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        network.eval()((faces - 0.5) / 0.5)
    for hook in hooks:
        hook.remove()
    once, twice = seen
    torch.testing.assert_close(once, srm(faces), atol=1e-3, rtol=0)
    # The middle cell of the horizontal kernel: (left - 2 middle + right) / 2 of all channels.
    line = once.sum(dim=1)[0, 30]
    expected = ((line[29] - 2 * line[30] + line[31]) / 2).clamp(-3, 3)
    torch.testing.assert_close(twice[0, 2, 30, 30], expected, atol=1e-3, rtol=0)


def test_fusion_sees_both_streams_before_their_last_activation(network, noise_faces):
    seen = []
    hook = network.fusion.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    with torch.no_grad():
        network.eval()(noise_faces([0]).images)
    hook.remove()
    assert all(stream.min() < 0 for stream in seen)


def test_channel_residuals_are_the_shared_ones():
    features = torch.rand(2, 4, 12, 12) * 20 - 10
    found = channel_residuals(features).unflatten(1, (4, 3))
    for channel in range(4):
        # The shared ones sum three channels on a scale of 255.
        expected = srm(features[:, channel : channel + 1].expand(-1, 3, -1, -1) / (3 * 255))
        torch.testing.assert_close(found[:, channel], expected, atol=1e-4, rtol=1e-4)
    assert found.abs().max() == 3


def test_the_loss_is_the_am_softmax_of_its_settings(network, noise_faces):
    network.eval()
    batch = noise_faces([0, 1])
    with torch.no_grad():
        (found,) = network.loss(batch).values()
        expected = am_softmax(network(batch.images).cosines, batch.labels, 30.0, 0.5)
    torch.testing.assert_close(found, expected)


def test_exchange_starts_as_nothing_and_then_gives_the_others_values():
    exchange = CrossModalAttention(16, cells=6)
    first, second = torch.randn(2, 16, 2, 3), torch.randn(2, 16, 2, 3)
    assert all(map(torch.equal, exchange(first, second), (first, second)))
    with torch.no_grad():
        exchange.weights.copy_(torch.tensor([2.0, 3.0]))
        for mixing in exchange.mixing:
            mixing.weight.zero_()
            mixing.bias.zero_()
            mixing.bias[4] = 50.0  # all attention on the cell at row 1, column 1
        found = exchange(first, second)
        taken = exchange.values[1](second)[:, :, 1:2, 1:2]
        given = exchange.values[0](first)[:, :, 1:2, 1:2]
    torch.testing.assert_close(found[0], first + 2 * taken)
    torch.testing.assert_close(found[1], second + 3 * given)


@pytest.mark.parametrize(("name", "value"), [("image_size", 63), ("scale", 0.0), ("margin", -0.1)])
def test_bad_options_are_named(name, value):
    with pytest.raises(InputError, match=f"--options {name}={value}"):
        GffdConfig(**{name: value})
