"""Telltales against the published sizes, PyWavelets, SciPy and hand-computed values."""

import copy
import dataclasses

import numpy as np
import pytest
import pywt
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.ndimage import uniform_filter
from torch._subclasses import FakeTensorMode

from focus.backbones import create_backbone
from focus.errors import InputError
from focus.macs import count_macs
from focus.runs import save_weights
from focus.types import Batch, resize_maps
from plugins.telltales import Telltales, TelltalesConfig
from plugins.telltales.classification import Classification
from plugins.telltales.map_prediction import MapPrediction
from plugins.telltales.noise import attenuate, decompose, noise_residual, reconstruct
from plugins.telltales.targets import mask_targets, noise_label

SMALL = TelltalesConfig(encoder_weights="none", image_size=64)
HALVES = np.s_[:, :32], np.s_[:, 32:], np.s_[:, :, :32], np.s_[:, :, 32:]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Telltales(SMALL)


@pytest.fixture(scope="module")
def batch():
    """Return eight coarse noise images, one half of every second of them noisy, with its map."""
    draw = torch.Generator().manual_seed(0)
    images = F.interpolate(torch.randn(8, 3, 8, 8, generator=draw), (64, 64), mode="bilinear")
    maps = torch.zeros(8, 1, 64, 64)
    for face, half in zip(range(1, 8, 2), HALVES, strict=True):
        maps[face][half] = 1
    images += 2 * torch.randn(images.shape, generator=draw) * maps
    return Batch(images, torch.arange(8) % 2, maps, tuple("abcdefgh"), torch.arange(8))


@pytest.fixture(scope="module")
def few(batch):
    """Return a real face and a fake."""
    images, labels, maps, keys, rows = (part[:2] for part in batch[:5])
    return Batch(images, labels, maps, keys, rows)


@pytest.fixture
def image():
    """Return a image of smooth waves and noise in [0, 255], float32 (1, 3, 121, 113)."""
    draw = torch.Generator().manual_seed(0)
    smooth = F.interpolate(torch.rand(1, 3, 5, 7, generator=draw), (121, 113), mode="bicubic")
    noise = torch.randn(1, 3, 121, 113, generator=draw)
    return (255 * smooth + 8 * noise).clamp(0, 255).round()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def rebuilt(network, **changes):
    """Return the same layers under another configuration, cheaper than new ones."""
    other = copy.copy(network)
    other.config = dataclasses.replace(network.config, **changes)
    return other


# --- sizes and shapes


def test_published_sizes(network):
    assert count(network) == 21_486_450
    for module, channels, sizes in (
        (network.semantic, 2, (638_722, 747_266, 1_694_016, 9_522)),
        (network.noise, 1, (637_121, 734_465, 1_694_016, 9_377)),
    ):
        parts = (module.shallow, module.middle, module.embedding, module.deep)
        assert tuple(map(count, parts)) == sizes, channels
    parts = (network.classification.fusion, network.classification.reduction)
    assert [*map(count, parts)] == [52_224, 959_752]
    assert count(network.classification.verdict) == 291_401


def test_published_shapes_and_work():
    seen = {}
    with FakeTensorMode():  # shapes alone, nothing computed
        network, images = (
            Telltales(TelltalesConfig(encoder_weights="none")),
            torch.zeros(2, 3, 299, 299),
        )
        for name in ("fusion", "reduction"):
            getattr(network.classification, name).register_forward_hook(
                lambda _, inputs, output, name=name: seen.update({name: output.shape[1:]})
            )
        macs, output = count_macs(lambda: network(images))
        noise_macs, noises = count_macs(lambda: network.noise(output.levels, output.noise))
        scores, maps, _ = network.predict(images)
    total = (macs + noise_macs) / 2e9  # a face
    assert total == pytest.approx(15.58, rel=5e-3)  # theirs with norms
    assert [tuple(level.shape) for level in output.levels] == [
        (2, 64, 147, 147),
        (2, 256, 37, 37),
        (2, 728, 19, 19),
    ]
    assert [tuple(mask.shape) for mask in output.masks] == [(2, 2, n, n) for n in (147, 37, 19)]
    assert [tuple(noise.shape) for noise in noises] == [(2, 1, n, n) for n in (147, 37, 19)]
    assert output.noise.shape == (2, 64, 19, 19)
    assert seen == {"fusion": (128, 10, 10), "reduction": (728, 2, 2)}
    assert scores.shape == (2,)
    assert maps.shape == (2, 1, 299, 299)


@pytest.mark.parametrize("size", [(64, 64), (80, 101)])
def test_other_sizes(network, size):
    network.eval()
    with torch.no_grad():
        images, maps = torch.randn(1, 3, *size), torch.rand(1, 1, *size)
        terms = network.loss(Batch(images, torch.ones(1), maps, ("a",), torch.zeros(1)))
        maps = network.predict(images).maps
    assert maps.shape == (1, 1, *size)
    assert 0 <= maps.min() < maps.max() <= 1
    assert all(value.isfinite() for value in terms.values())


def test_predictions_are_linear_and_separable_if_asked():
    module = MapPrediction(2, separable=True)
    spatial = [layer for layer in module.modules() if getattr(layer, "groups", 1) > 1]
    assert [layer.in_channels for layer in spatial] == [64, 128, 256, 728]
    kinds = {type(layer).__name__ for layer in module.modules()}
    assert kinds == {"MapPrediction", "Sequential", "Conv2d", "MaxPool2d", "ConvTranspose2d"}


# --- noise, step by step


@pytest.mark.parametrize("size", [(64, 64), (75, 38), (11, 3)])
def test_one_level_is_pywavelets(size):
    planes = torch.rand(2, 1, *size) * 255
    approximation, details = decompose(planes)
    truth, parts = pywt.dwt2(planes[:, 0].numpy(), "db4")
    np.testing.assert_allclose(approximation[:, 0], truth, atol=2e-3)
    for band, part in zip(details.unbind(1), parts, strict=True):
        np.testing.assert_allclose(band, part, atol=2e-3)
    noisy = torch.randn_like(details)
    back = pywt.idwt2((truth, tuple(noisy.unbind(1))), "db4")
    np.testing.assert_allclose(reconstruct(approximation, noisy)[:, 0], back, atol=2e-3)
    whole = reconstruct(approximation, details)[..., : size[0], : size[1]]
    torch.testing.assert_close(whole, planes, atol=2e-3, rtol=0)


def wiener(band, sigma):
    """Return the noise among coefficients, by SciPy and the formula as it is written."""
    variances = [
        np.maximum(0, uniform_filter(band**2, side, mode="constant") - sigma**2)
        for side in (3, 5, 7, 9)
    ]
    return band * sigma**2 / (np.minimum.reduce(variances) + sigma**2)


def test_attenuation_is_scipys():
    details = torch.randn(2, 3, 20, 31) * 8
    for band, found in zip(
        details.flatten(0, 1), attenuate(details, 5.0).flatten(0, 1), strict=True
    ):
        np.testing.assert_allclose(found, wiener(band.numpy().astype(float), 5), atol=1e-4)


def test_residual_is_pywavelets(image):
    residuals = []
    for channel in image[0].double().numpy():
        coefficients = pywt.wavedec2(channel, "db4", level=4)
        noisy = [tuple(wiener(band, 5) for band in level) for level in coefficients[1:]]
        whole = pywt.waverec2([np.zeros_like(coefficients[0]), *noisy], "db4")
        residuals.append(whole[:121, :113])
    expected = np.tensordot([0.299, 0.587, 0.114], residuals, axes=1)
    np.testing.assert_allclose(noise_residual(image, 5.0)[0, 0], expected, atol=2e-3)


def test_noise_of_constants_and_of_larger_sigma(image):
    assert noise_residual(torch.full((1, 3, 64, 80), 200.0), 5.0).abs().max() < 1e-3
    energies = [noise_residual(image, sigma).square().mean() for sigma in (2.0, 5.0, 10.0)]
    assert 0 < energies[0] < energies[1] < energies[2]


def test_noise_labels(image):
    residual = noise_residual(image, 5.0)
    assert residual.std() > 1
    torch.testing.assert_close(noise_label(image, 5.0), residual.abs() / 255)
    torch.testing.assert_close(noise_label(image, 5.0, "clip0", 5.0), residual.relu() / 51)
    torch.testing.assert_close(noise_label(image, 5.0, "signed"), residual / 255)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(noise_residual(image, 5.0), residual)


# --- targets and losses


def test_mask_targets_sum_to_one_and_flip():
    maps = torch.rand(2, 1, 299, 299)
    maps[0] = 0
    for side, mode in [(147, "soft"), (37, "hard"), (19, "soft")]:
        targets = mask_targets(maps, torch.Size((side, side)), mode)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(2, side, side))
        assert targets[0, 0].eq(0).all()
        flipped = mask_targets(maps.flip(-1), torch.Size((side, side)), mode)
        torch.testing.assert_close(flipped, targets.flip(-1))
        means = (maps >= 0.5).float() if mode == "hard" else maps
        expected = F.interpolate(means, (side, side), mode="bilinear", antialias=True)
        torch.testing.assert_close(targets[:, :1], expected)


def test_noise_flips_but_for_what_the_filter_makes_of_it(image):
    def coarse(images):
        return resize_maps(noise_label(images, 5.0), (15, 14)).flatten()

    there, back = coarse(image), coarse(image.flip(-1).clone())
    back = back.view(15, 14).flip(-1).flatten()
    assert torch.corrcoef(torch.stack([there, back]))[0, 1] > 0.8


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_loss_written_out(network, few, mode):
    network.eval()
    soft = few._replace(maps=few.maps * 0.7)
    with torch.no_grad():
        terms = rebuilt(network, map_mode=mode).loss(soft)
        output = network(few.images)
        noises = network.noise(output.levels, output.noise)
        labels = few.labels.float()
        entropy = F.binary_cross_entropy(output.logits.sigmoid(), labels)
        torch.testing.assert_close(terms["classification"], entropy)
        forged = few.maps if mode == "hard" else soft.maps
        masks = [
            F.binary_cross_entropy(m.sigmoid(), mask_targets(forged, m.shape[2:]))
            for m in output.masks
        ]
        torch.testing.assert_close(terms["mask"], sum(masks))
        label = noise_residual(few.images * 127.5 + 127.5, 5.0).abs() / 255
        errors = [(m - resize_maps(label, m.shape[2:])).abs().mean() for m in noises]
        torch.testing.assert_close(terms["noise"], 0.1 * sum(errors))


def test_predicted_map_is_the_weighted_sum(network, few):
    network.eval()
    with torch.no_grad():
        output, prediction = network(few.images), network.predict(few.images)
    levels = [F.interpolate(m[:, :1].sigmoid(), (64, 64), mode="bilinear") for m in output.masks]
    expected = 0.1 * levels[0] + 0.2 * levels[1] + 0.7 * levels[2]
    torch.testing.assert_close(prediction.maps, expected)
    torch.testing.assert_close(prediction.scores, output.logits.sigmoid())


def test_attention_is_the_logit_or_its_sigmoid():
    module = Classification().eval()
    semantic, noise, mask = (
        torch.randn(2, 64, 19, 19),
        torch.randn(2, 64, 19, 19),
        torch.randn(2, 1, 19, 19),
    )
    seen = []
    module.fusion.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        module(semantic, noise, mask)
        module.attention = "sigmoid"
        module(semantic, noise, mask)
    both = torch.cat([semantic, noise], dim=1)
    torch.testing.assert_close(seen[0], both * mask)
    torch.testing.assert_close(seen[1], both * mask.sigmoid())


def test_terms_without_maps(network, few):
    network.train()
    with torch.no_grad():
        assert set(network.loss(few._replace(maps=None))) == {"classification", "noise"}
        assert set(rebuilt(network, step=1).loss(few._replace(maps=None))) == {"classification"}


# --- learning


def test_second_step_goes_on_from_the_first(few, tmp_path):
    torch.manual_seed(1)
    first = Telltales(dataclasses.replace(SMALL, step=1)).eval()
    learning = {name.split(".")[0] for name, p in first.named_parameters() if p.requires_grad}
    assert learning == {"backbone", "semantic", "classification"}
    with torch.no_grad():
        scores = first.predict(few.images).scores
        assert set(first.loss(few)) == {"classification", "mask"}
        assert first(few.images).noise.eq(0).all()
        first.noise.embedding[0].weight.mul_(2)
        assert torch.equal(first.predict(few.images).scores, scores)  # no noise in it
    save_weights(first, tmp_path / "best.safetensors")
    weights = str(tmp_path / "best.safetensors")
    second = Telltales(dataclasses.replace(SMALL, encoder_weights=weights))
    assert all(p.requires_grad for p in second.parameters())
    for name, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[name]), name
    with pytest.raises(InputError, match=r"encoder_weights=.*not those of a telltales run"):
        Telltales(dataclasses.replace(SMALL, encoder_weights=weights, separable=True))


def test_imagenet_file_fills_the_backbone(tmp_path):
    torch.manual_seed(2)
    body = create_backbone("legacy_xception", "none")
    save_file(body.state_dict(), tmp_path / "xception.safetensors")
    path = str(tmp_path / "xception.safetensors")
    backbone = Telltales(dataclasses.replace(SMALL, encoder_weights=path)).backbone
    assert torch.equal(backbone.stem[0].weight, body.conv1.weight)
    assert torch.equal(backbone.flow[-1].rep[-2].conv1.weight, body.block11.rep[-2].conv1.weight)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 3},
        {"image_size": 32},
        {"attention": "tanh"},
        {"noise_encoding": "square"},
        {"sigma": 0.0},
        {"noise_weight": -1.0},
        {"map_threshold": 2.0},
    ],
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=f"--options {next(iter(change))}="):
        TelltalesConfig(**change)
