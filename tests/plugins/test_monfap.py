"""MoNFAP against the published sizes, hand-computed values, torch's and scikit-learn's results."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.metrics import log_loss
from torch import nn

from focus.errors import InputError
from focus.types import Batch
from plugins.bayar import BayarConv
from plugins.monfap import MoNFAP, MoNFAPConfig
from plugins.monfap.forgery_aware import Attention, ForgeryAwareTransformer, FourierPlaces
from plugins.monfap.noise_experts import (
    CentralDifferenceExpert,
    HighFrequencyExpert,
    SteganalysisExpert,
)
from plugins.monfap.noise_mixture import NoiseMixture, importance_loss
from plugins.monfap.targets import weighted_pixel_loss

SMALL = MoNFAPConfig(encoder_weights="none", image_size=64, drop_path=0.0)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def batch_of(images, labels, maps=None):
    keys = tuple(str(place) for place in range(len(labels)))
    return Batch(images, torch.tensor(labels), maps, keys, torch.arange(len(labels)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MoNFAP(SMALL).eval()


def inside(features, border=2):
    return features[..., border:-border, border:-border]


# --- sizes and shapes


def test_published_sizes(network):
    assert count(network) == 21_621_588
    assert count(network.backbone) == 3_387_960
    assert [count(mixture) for mixture in network.mixtures] == [
        81_364,
        316_324,
        1_247_044,
        4_951_684,
    ]
    assert count(network.localiser) == 3_836_930
    assert count(network.predictor) == 7_800_282
    per_scale = [count(transformer) for transformer in network.predictor.transformers]
    assert per_scale == [5_508_096, 1_381_888, 347_904, 88_192]


@torch.no_grad()
def test_shapes_of_the_paper_input(network):
    images = torch.randn(1, 3, 512, 512)
    levels = network.backbone(images)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (40, 128, 128),
        (80, 64, 64),
        (160, 32, 32),
        (320, 16, 16),
    ]
    output = network(images)
    assert output.logits.shape == (1, 2)
    assert output.mask_logits.shape == (1, 2, 128, 128)
    assert output.coarse_logits.shape == (1, 2, 16, 16)
    assert [gates.shape for gates in output.gates] == [(1, 4)] * 4


@torch.no_grad()
def test_a_size_that_32_does_not_divide(network):
    prediction = network.predict(torch.randn(1, 3, 341, 512))
    assert prediction.maps.shape == (1, 1, 85, 128)
    assert 0 <= prediction.maps.min() < prediction.maps.max() <= 1


def test_resnet_variant_is_projected():
    network = MoNFAP(MoNFAPConfig(encoder_weights="none", backbone="resnet50")).eval()
    assert network.backbone.widths == (64, 128, 256, 512)
    assert count(network.mixtures) == 16_821_136
    with torch.no_grad():
        assert network.predict(torch.randn(1, 3, 70, 100)).maps.shape == (1, 1, 18, 25)


def test_saved_weights_predict_the_same(network, tmp_path):
    images = torch.randn(2, 3, 64, 96)
    torch.manual_seed(1)
    other = MoNFAP(SMALL).eval()  # other tokens, other random frequencies
    with torch.no_grad():
        assert not torch.equal(other.predict(images).maps, network.predict(images).maps)
        other.load_state_dict(network.state_dict())
        assert torch.equal(other.predict(images).maps, network.predict(images).maps)
    places = [name for name in network.state_dict() if name.endswith("places.frequencies")]
    assert len(places) == 4


def test_backbone_takes_a_file_of_timm_tensors(network, tmp_path):
    names = network.backbone.body.state_dict()
    path = tmp_path / "atto.safetensors"
    save_file({name: torch.full_like(value, 0.5) for name, value in names.items()}, path)
    loaded = MoNFAP(MoNFAPConfig(encoder_weights=str(path)))
    assert (loaded.backbone.body.stem[0].weight == 0.5).all()


# --- noise experts


@pytest.mark.parametrize("layout", ["intended", "code"])
def test_filters_see_nothing_in_a_constant(layout):
    flat = torch.full((1, 6, 12, 12), 3.0)
    differences = HighFrequencyExpert(6).differences(flat)
    residuals = SteganalysisExpert(6, layout).residuals(flat)
    assert inside(differences).abs().max() < 1e-6
    assert inside(residuals).abs().max() < 1e-5
    assert inside(BayarConv(6, 6)(flat)).abs().max() < 1e-4
    assert inside(CentralDifferenceExpert(6, theta=1.0)(flat)).abs().max() < 1e-5
    assert residuals[..., 0, :].abs().max() > 0.1  # the zero border is not constant


def test_high_frequency_differences():
    image = torch.arange(25.0).view(1, 1, 5, 5)  # +5 a row, +1 a column
    values = HighFrequencyExpert(1).differences(image)[0, :, 2, 2]
    assert values.tolist() == [5, 1, 6]


def test_srm_layouts_count_alike_but_mix_differently():
    intended, code = SteganalysisExpert(9), SteganalysisExpert(9, "code")
    assert count(intended) == count(code) == 75 * 9 + 3 * 81 + 2 * 9
    centres = [expert.residuals.weight[:, 0, 2, 2].view(9, 3) for expert in (intended, code)]
    assert torch.allclose(centres[0], torch.tensor([-1.0, -1.0, -1.0]).expand(9, 3))
    corners = [expert.residuals.weight[:, 0, 0, 0].view(9, 3) for expert in (intended, code)]
    assert torch.allclose(corners[0], torch.tensor([0, -1 / 12, 0]).expand(9, 3))
    assert torch.allclose(corners[1][3:6], torch.full((3, 3), -1 / 12))  # the middle third
    assert not corners[1][:3].any()


def test_central_difference_is_two_convolutions():
    expert, features = CentralDifferenceExpert(3), torch.randn(2, 3, 8, 8)
    weight = expert.convolution.weight
    centre = weight.sum(dim=(2, 3), keepdim=True)
    wanted = F.conv2d(features, weight, padding=1) - 0.7 * F.conv2d(features, centre)
    assert torch.allclose(expert(features), wanted, atol=1e-6)


# --- the mixture


def test_mixture_is_the_weighed_sum_without_identity():
    torch.manual_seed(0)
    mixture, features = NoiseMixture(8).eval(), torch.randn(2, 8, 6, 6)
    noise, gates = mixture(features)
    assert torch.allclose(gates.sum(dim=1), torch.ones(2))
    wanted = mixture.shared(features[:1])
    for weight, expert in zip(gates[0], mixture.experts, strict=True):
        wanted = wanted + weight * expert(features[:1])
    assert torch.allclose(noise[:1], wanted, atol=1e-5)


def test_gate_keeps_the_strongest_and_is_noisy_in_training_alone():
    features = torch.randn(5, 8, 4, 4)
    mixture = NoiseMixture(8, kept=2)
    assert not torch.equal(mixture.gate(features), mixture.gate(features))
    gates = mixture.eval().gate(features)
    assert torch.equal(gates, mixture.gate(features))
    assert ((gates > 0).sum(dim=1) == 2).all()
    mixture.gate.kept = 4
    dense = mixture.gate(features).topk(2).values
    assert torch.allclose(gates.topk(2).values, dense / dense.sum(dim=1, keepdim=True))


def test_importance_loss():
    assert importance_loss(torch.full((6, 4), 0.25)).item() == pytest.approx(0)
    one_hot = F.one_hot(torch.zeros(6, dtype=torch.int64), 4)
    assert 0.1 * importance_loss(one_hot).item() == pytest.approx(0.4)


# --- the forgery-aware transformer


def test_attention_is_torchs_multihead_attention():
    torch.manual_seed(0)
    ours, torchs = Attention(16), nn.MultiheadAttention(16, 8, batch_first=True)
    parts = (ours.query, ours.key, ours.value)
    torchs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    torchs.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    torchs.out_proj.load_state_dict(ours.output.state_dict())
    query, key, value = torch.randn(2, 2, 16), torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    blocked = torch.rand(2, 1, 2, 9) < 0.5
    blocked[..., 0] = False
    wanted, _ = torchs(query, key, value, attn_mask=blocked.expand(2, 8, 2, 9).flatten(0, 1))
    assert torch.allclose(ours(query, key, value, blocked), wanted, atol=1e-6)


def test_fully_blocked_token_attends_to_all_alike():
    attention = Attention(16)
    query, key, value = torch.randn(1, 2, 16), torch.randn(1, 9, 16), torch.randn(1, 9, 16)
    blocked = torch.tensor([True, False]).view(1, 1, 2, 1).expand(1, 1, 2, 9)
    seen = attention(query, key, value, blocked)
    uniform = attention.output(attention.value(value).mean(dim=1))
    assert torch.allclose(seen[:, 0], uniform, atol=1e-6)
    assert torch.allclose(seen[:, 1], attention(query, key, value)[:, 1], atol=1e-6)


def test_batched_transformer_is_image_by_image():
    torch.manual_seed(0)
    transformer = ForgeryAwareTransformer(16, 32)
    tokens, image = torch.randn(3, 2, 16), torch.randn(3, 16, 3, 5)
    blocked = torch.rand(3, 1, 2, 15) < 0.5
    blocked[0, :, 1] = True
    together = transformer(tokens, image, blocked)
    for place in range(3):
        one = slice(place, place + 1)
        alone = transformer(tokens[one], image[one], blocked[one])
        for ours, wanted in zip(together, alone, strict=True):
            assert ours.isfinite().all()
            assert torch.allclose(ours[one], wanted, atol=1e-5)


def test_each_token_looks_at_its_own_class(network):
    coarse = torch.tensor([[3.0, -3.0], [-3.0, 3.0]]).view(1, 2, 1, 2)  # left real, right fake
    blocked = network.predictor._blocked(coarse, (2, 4)).view(2, 2, 4)
    assert blocked[0].tolist() == [[False, False, True, True]] * 2
    assert torch.equal(blocked[1], ~blocked[0])


def test_places_lie_at_pixel_centres():
    places = FourierPlaces(4)
    places.frequencies = torch.tensor([[0.25, 0.0], [0.0, 0.25]])  # a quarter turn per unit
    codes = places(1, 2)
    half = math.pi / 4  # x = -0.5 and 0.5, y = 0
    wanted = [[math.sin(x), 0, math.cos(x), 1] for x in (-half, half)]
    assert torch.allclose(codes, torch.tensor(wanted), atol=1e-6)


# --- losses


def test_pixel_loss_of_one_class_batches():
    torch.manual_seed(0)
    logits, maps = torch.randn(3, 2, 8, 8), (torch.rand(3, 1, 8, 8) > 0.5).float()
    chances = logits.softmax(dim=1)[:, 1]
    means = [
        log_loss(truth.flatten().numpy(), chance.flatten().numpy())
        for truth, chance in zip(maps, chances, strict=True)
    ]

    def loss(*labels):
        return weighted_pixel_loss(logits, maps, torch.tensor(labels)).item()

    assert loss(0, 0, 0) == pytest.approx(sum(means) / 3, rel=1e-4)
    assert loss(1, 1, 1) == pytest.approx(10 * sum(means) / 3, rel=1e-4)
    assert loss(0, 1, 0) == pytest.approx((means[0] + means[2]) / 2 + 10 * means[1], rel=1e-4)


def test_soft_maps_are_probabilities_and_hard_ones_are_cut():
    logits, labels = torch.zeros(1, 2, 4, 4), torch.tensor([1])
    logits[:, 1] = 2.0
    maps = torch.full((1, 1, 8, 8), 0.4)
    real, fake = (-torch.tensor([0.0, 2.0]).log_softmax(dim=0)).tolist()
    soft = weighted_pixel_loss(logits, maps, labels, 1.0, "soft")
    hard = weighted_pixel_loss(logits, maps, labels, 1.0, "hard", 0.5)
    low = weighted_pixel_loss(logits, maps, labels, 1.0, "hard", 0.3)
    assert soft.item() == pytest.approx(0.6 * real + 0.4 * fake, rel=1e-5)
    assert hard.item() == pytest.approx(real, rel=1e-5)
    assert low.item() == pytest.approx(fake, rel=1e-5)


def test_terms_with_and_without_maps(network):
    images, maps = torch.randn(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        terms = network.loss(batch_of(images, (0, 1), maps))
        output, labels = network(images), torch.tensor([0, 1])
        for name, logits in (("mask", output.mask_logits), ("auxiliary", output.coarse_logits)):
            expected = weighted_pixel_loss(logits, maps, labels, 10.0, "hard", 0.5)
            torch.testing.assert_close(terms[name], expected)
        imbalance = sum(importance_loss(gates) for gates in output.gates)
        torch.testing.assert_close(terms["importance"], 0.1 * imbalance)
        assert set(terms) == {"classification", "mask", "auxiliary", "importance"}
        assert set(network.loss(batch_of(images, (0, 1)))) == {"classification", "importance"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backbone": "vgg"}, "backbone=vgg"),
        ({"image_size": 32}, "image_size=32"),
        ({"top_k": 5}, "top_k=5"),
        ({"drop_path": 1.0}, "drop_path=1.0"),
        ({"fake_weight": -1.0}, "fake_weight=-1.0"),
        ({"map_threshold": 0.0}, "map_threshold=0.0"),
    ],
)
def test_bad_settings_are_named(changes, told):
    with pytest.raises(InputError, match=told):
        MoNFAPConfig(**changes)
