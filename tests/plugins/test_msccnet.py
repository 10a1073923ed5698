import numpy as np
import pytest
import scipy.fft
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from focus.optim import learning_rate
from plugins.msccnet import MSCCNet, MSCCNetConfig, mscc
from plugins.msccnet.mscc import MultiSpectralClassCenter, dct_maps

SMALL = {"encoder": "resnet10t", "encoder_weights": "none", "image_size": 64, "width": 64}
CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MSCCNet(MSCCNetConfig(**SMALL))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_size_and_shapes_of_the_paper():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = MSCCNet(MSCCNetConfig(encoder_weights="none"))
        levels = network.backbone(torch.zeros(2, 3, 512, 512))
        refined, coarse = network.centers(network.aggregation(levels))
        macs, (scores, maps, _) = count_macs(lambda: network.predict(torch.zeros(2, 3, 512, 512)))
    assert macs / 2e9 == pytest.approx(218.6, rel=2e-3)
    assert count(network) == 52_145_531
    assert count(network.backbone) == 23_527_264
    assert [count(level) for level in network.aggregation.align] == [
        2_360_320,
        4_719_616,
        9_438_208,
    ]
    assert count(network.centers) == 4_719_616 + 16_898 + 5 + 16_400
    assert count(network.decoder) == 264_194
    assert [tuple(level.shape) for level in levels] == [
        (2, 512, 64, 64),
        (2, 1024, 64, 64),
        (2, 2048, 64, 64),
    ]
    assert refined.shape == (2, 512, 64, 64)
    assert coarse.shape == (2, 2, 64, 64)
    assert scores.shape == (2,)
    assert maps.shape == (2, 1, 64, 64)


def test_dilation_and_deep_stem():
    with FakeTensorMode():
        body = MSCCNet(MSCCNetConfig(encoder_weights="none")).backbone
    stem = [layer.out_channels for layer in body.conv1 if isinstance(layer, torch.nn.Conv2d)]
    assert stem == [32, 32, 64]
    assert [block.conv2.dilation[0] for block in body.layer3] == [1, 2, 2, 2, 2, 2]
    assert [block.conv2.dilation[0] for block in body.layer4] == [2, 4, 4]


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (13, 21)])
def test_dct_maps_are_scipys_and_orthonormal(size):
    maps = dct_maps(8, *size, CPU)
    for u, v in [(0, 0), (0, 1), (1, 0), (1, 1), (3, 7)]:
        spectrum = np.zeros(size)
        spectrum[u, v] = 1
        expected = torch.from_numpy(scipy.fft.idctn(spectrum, norm="ortho")).float()
        torch.testing.assert_close(maps[8 * u + v], expected, atol=1e-6, rtol=1e-5)
    flat = maps.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(64), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps[0], torch.full(size, (size[0] * size[1]) ** -0.5))


@pytest.mark.parametrize(("bases", "distinct"), [("paper4", 4), ("code64", 64)])
def test_neighbouring_channels_share_a_basis(bases, distinct):
    filtered = MultiSpectralClassCenter(64, bases).filter(torch.ones(1, 64, 16, 16))[0]
    assert len(filtered.unique(dim=0)) == distinct
    order = {"paper4": 2, "code64": 8}[bases]
    expected = dct_maps(order, 16, 16, CPU).repeat_interleave(64 // distinct, dim=0)
    torch.testing.assert_close(filtered, expected)


def test_class_centers_written_out(network):
    module, features = network.centers.eval(), torch.randn(2, 64, 8, 8)
    seen = []
    module.bottleneck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        _, coarse = module(features)
        bases = dct_maps(2, 8, 8, CPU)
        logits, centers = [], []
        for group in range(4):
            filtered = features[:, 16 * group : 16 * group + 16] * bases[group]
            logits.append(module.coarse(filtered))
            centers.append(torch.einsum("bkij,bcij->bkc", logits[-1], filtered))
        mixing = module.mix.weight[:, :, 0, 0]
        for group in range(4):
            message = sum(mixing[group, other] * centers[other] for other in range(4))
            center = torch.relu(message + centers[group]) @ module.project.weight.T
            original = features[:, 16 * group : 16 * group + 16]
            weights = torch.einsum("bcij,bkc->bkij", original, center).softmax(dim=1)
            torch.testing.assert_close(
                seen[0][:, 64 + 16 * group : 80 + 16 * group],
                torch.einsum("bkij,bkc->bcij", weights, center),
            )
        shares = module.fuse_coarse.weight[0, :, 0, 0]
        fused = sum(share * part for share, part in zip(shares, logits, strict=True))
    torch.testing.assert_close(coarse, fused + module.fuse_coarse.bias)
    torch.testing.assert_close(seen[0][:, :64], features)


def test_attention_sums_to_one_over_the_classes():
    weights = MultiSpectralClassCenter.attend(torch.randn(2, 4, 16, 9), torch.randn(2, 4, 2, 16))
    assert weights.shape == (2, 4, 2, 9)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 4, 9))


def test_without_frequencies_the_order_of_pixels_does_not_matter(network, monkeypatch):
    monkeypatch.setattr(mscc, "dct_maps", lambda order, *_: torch.full((order**2, 8, 8), 1 / 8))
    module, features = network.centers.eval(), torch.randn(1, 64, 8, 8)
    order = torch.randperm(64)
    seen = []
    module.bottleneck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        module(features)
        module(features.flatten(2)[..., order].unflatten(2, (8, 8)))
    torch.testing.assert_close(seen[1].flatten(2), seen[0].flatten(2)[..., order])


@pytest.mark.parametrize("size", [(256, 256), (96, 100)])
@pytest.mark.parametrize("bases", ["paper4", "code64"])
def test_any_input_size(size, bases):
    network = MSCCNet(MSCCNetConfig(**SMALL, dct_bases=bases)).eval()
    with torch.no_grad():
        maps = network.predict(torch.randn(1, 3, *size)).maps
    assert maps.shape == (1, 1, size[0] // 8, -(-size[1] // 8))
    assert 0 <= maps.min() <= maps.max() <= 1


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_loss_is_three_cross_entropies(network, batch, mode):
    soft = batch._replace(maps=batch.maps * 0.7)
    module = MSCCNet(MSCCNetConfig(**SMALL, map_mode=mode)).eval()
    module.load_state_dict(network.state_dict())
    terms = module.loss(soft)
    levels = module.backbone(batch.images)
    mask, coarse = module.localise(levels)
    truth = (soft.maps >= 0.5).long()[:, 0]
    if mode == "soft":
        truth = torch.cat([1 - soft.maps, soft.maps], dim=1)
    for name, logits in (("mask", mask), ("coarse", coarse)):
        expected = F.cross_entropy(F.interpolate(logits, (64, 64), mode="bilinear"), truth)
        torch.testing.assert_close(terms[name], expected)
    logits = module.classify(levels[-1])
    torch.testing.assert_close(terms["classification"], F.cross_entropy(logits, batch.labels))


def test_without_maps_it_only_classifies(network, batch):
    network.aggregation.register_forward_pre_hook(lambda *_: pytest.fail("nobody asked for a map"))
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}


def test_unnormalised_sums_stay_in_float32_under_autocast(network, batch):
    network.eval()
    kinds = []
    for part in (network.centers.mix, network.centers.project, network.centers.fuse_coarse):
        part.register_forward_hook(lambda _, inputs, output: kinds.append(output.dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network.predict(batch.images)
    assert kinds == [torch.float32] * 3


def test_rate_falls_by_power_to_a_hundredth():
    first, last = (learning_rate(step, 1000, MSCCNet.optimizer) for step in (0, 999))
    assert first == pytest.approx(9e-3)
    assert last == pytest.approx(9e-5 + 0.99 * 9e-3 * 0.001**0.9)


@pytest.mark.parametrize("change", [{"image_size": 32}, {"width": 100}, {"map_threshold": 2.0}])
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        MSCCNetConfig(**change)
