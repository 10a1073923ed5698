from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins.multitask import Multitask, MultitaskConfig


def build(**options):
    torch.manual_seed(0)
    network = Multitask(MultitaskConfig(image_size=64, **options)).eval()
    for module in network.modules():  # features that vary, in evaluation mode too
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    return network


@pytest.fixture(scope="module")
def network():
    return build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_size_of_the_code():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = Multitask()
        macs, output = count_macs(lambda: network(torch.zeros(2, 3, 256, 256)))
        halves, _ = network.autoencoder.encode(torch.zeros(2, 3, 256, 256))
    assert count(network.autoencoder.encoder) == 148_200
    assert count(network) == 148_200 + 156_749
    assert macs / 2e9 == pytest.approx(0.32, rel=0.01)
    assert halves.shape == (2, 2, 64, 16, 16)
    assert output.map_logits.shape == (2, 2, 256, 256)
    assert output.images.shape == (2, 3, 256, 256)


@pytest.mark.parametrize("size", [(64, 64), (80, 112)])
def test_maps_have_the_size_of_the_images(network, size):
    with torch.no_grad():
        assert network.predict(torch.randn(1, 3, *size)).maps.shape == (1, 1, *size)


def test_weights_start_as_in_the_code():
    torch.manual_seed(0)
    network = Multitask()
    convolution, norm, _ = network.autoencoder.encoder[-1]
    assert convolution.weight.detach().std() == pytest.approx(0.02, rel=0.05)
    assert norm.weight.detach().mean() == pytest.approx(0.5, abs=0.01)
    assert norm.weight.detach().std() == pytest.approx(0.02, rel=0.2)


def test_swapping_the_halves_swaps_the_scores(batch):
    network = build()
    with torch.no_grad():
        before = network.predict(batch.images).scores
        for values in network.autoencoder.encoder[-1].state_dict().values():
            if values.ndim:  # not the norm's count of batches
                values.copy_(values.roll(64, dims=0))
        after = network.predict(batch.images).scores
    assert (before - 0.5).abs().min() > 1e-3
    torch.testing.assert_close(after, 1 - before)


def test_one_half_is_decoded_the_true_one_in_training_and_the_active_one_in_prediction(
    network, batch
):
    with torch.no_grad():
        halves, activations = network.autoencoder.encode(batch.images)
        active = activations.argmax(dim=1)
        emptied = halves.clone()
        emptied[torch.arange(8), 1 - active] = 0
        of_one = network.autoencoder.decode(emptied, active)[0]
        predicted = network.predict(batch.images)
        mistaken = network(batch.images, 1 - active)
    torch.testing.assert_close(predicted.maps, of_one.softmax(dim=1)[:, 1:])
    torch.testing.assert_close(predicted.scores > 0.5, active == 1)
    torch.testing.assert_close(activations, halves.abs().mean(dim=(2, 3, 4)))
    assert not torch.allclose(mistaken.map_logits, of_one)


def test_losses_by_hand(network, batch):
    output = network(batch.images, batch.labels)
    real, fake = output.activations.unbind(dim=1)
    labels = batch.labels.float()
    chance = output.map_logits.softmax(dim=1)[:, 1:]
    entropy = -(batch.maps * chance.log() + (1 - batch.maps) * (1 - chance).log())
    terms = network.loss(batch)
    torch.testing.assert_close(
        terms["activation"], ((fake - labels).abs() + (real - (1 - labels)).abs()).mean()
    )
    torch.testing.assert_close(terms["map"], entropy.mean())
    assert set(network.loss(batch._replace(maps=None))) == {"activation", "reconstruction"}
    weighted = build(map_weight=3.0, reconstruction_weight=2.0).loss(batch)
    torch.testing.assert_close(weighted["map"], 3 * terms["map"])
    torch.testing.assert_close(weighted["reconstruction"], 2 * terms["reconstruction"])


def test_the_image_is_reconstructed_between_minus_and_plus_one(network, batch, monkeypatch):
    colours = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    monkeypatch.setattr(
        network.autoencoder,
        "decode",
        lambda halves, chosen: (torch.zeros(8, 2, 64, 64), colours / 127.5 - 1),
    )
    perfect = network.loss(batch._replace(images=network.input_spec.standardise(colours)))
    assert perfect["reconstruction"] < 1e-10
    assert network.input_spec.std == (0.229, 0.224, 0.225)


def test_a_perfect_map_costs_nothing(network, batch, monkeypatch):
    sure = 30 * torch.cat([1 - 2 * batch.maps, 2 * batch.maps - 1], dim=1)
    monkeypatch.setattr(
        network.autoencoder, "decode", lambda halves, chosen: (sure, torch.zeros(8, 3, 64, 64))
    )
    assert network.loss(batch)["map"] < 1e-6


def test_hard_maps_are_thresholded(network, batch):
    weak = batch._replace(maps=batch.maps * 0.6)
    torch.testing.assert_close(network.loss(weak)["map"], network.loss(batch)["map"])
    soft = build(map_mode="soft")
    logits = soft(batch.images, batch.labels).map_logits
    expected = F.cross_entropy(logits, torch.cat([1 - weak.maps, weak.maps], dim=1))
    torch.testing.assert_close(soft.loss(weak)["map"], expected)


@pytest.mark.parametrize(
    "change", [{"image_size": 72}, {"map_weight": -1.0}, {"map_threshold": 0.0}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        MultitaskConfig(**change)
