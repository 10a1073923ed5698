"""UIA-ViT against the paper's sizes, scikit-learn's Ledoit-Wolf, timm's attention, and by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from focus.errors import InputError
from focus.macs import count_macs
from plugins.uiavit import UiaVit, UiaVitConfig
from plugins.uiavit.model import uniform_share
from plugins.uiavit.patch_gaussians import PatchGaussians
from plugins.uiavit.targets import correlation_loss

SMALL = UiaVitConfig(
    encoder="vit_tiny_patch16_224", encoder_weights="none", image_size=64, ramp_steps=16
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UiaVit(SMALL)


def test_paper_size():
    network = UiaVit(UiaVitConfig(encoder_weights="none")).eval()
    assert sum(p.numel() for p in network.parameters()) == 85_801_733  # 85.8 M
    macs, prediction = count_macs(lambda: network.predict(torch.rand(1, 3, 224, 224)))
    assert prediction.maps.shape == prediction.parts["raw"].shape == (1, 1, 14, 14)
    assert macs / 1e9 == pytest.approx(17.6, abs=0.05)


def test_correlation_sets_in_after_an_epoch_and_both_gaussians(network, noise_faces):
    found = [network.loss(noise_faces([0, 1])) for _ in range(3)]
    penalties = 0.5 * 0.2 + 0.05 / 0.6 + 0.05 / 0.6
    for terms in found[:2]:  # an eighth of 16 steps
        assert terms["correlation"] == terms["centres"] == 0
    assert found[2]["correlation"] > 0
    assert found[2]["centres"].item() == pytest.approx(penalties)
    alone = UiaVit(SMALL)
    for _ in range(3):
        terms = alone.loss(noise_faces([1, 1]))
        assert terms["correlation"] == terms["centres"] == 0  # no real face was seen


def test_evaluation_counts_no_steps(network, noise_faces):
    network.eval().loss(noise_faces([0, 1]))
    assert network.step == 0
    assert network.gaussians.count.sum() == 0


def test_attention_is_the_mean_of_the_blocks_own(network, noise_faces):
    """Undo timm's softmax of the products, up to a constant of each row."""
    network.eval()
    images = noise_faces([0, 1]).images
    seen = []
    for block in network.encoder.blocks[-5:]:
        block.attn.fused_attn = False  # so that the softmax is seen by a module
        block.attn.attn_drop.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        output = network(images)
    expected = torch.stack(seen).log().mean(dim=(0, 2))  # over blocks and heads: (B, 17, 17)
    products = output.queries @ output.keys.transpose(1, 2)
    expected = expected - expected.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(products - products.mean(dim=-1, keepdim=True), expected)
    torch.testing.assert_close(output.attention, products[:, 0, 1:].sigmoid())


def test_prediction_is_bounded_by_the_score(network, noise_faces):
    images = noise_faces([0, 1, 1]).images
    for _ in range(2):
        network.loss(noise_faces([0, 1, 1]))
    network.eval()
    for name in ("attention", "location"):
        network.config = dataclasses.replace(SMALL, map=name)
        with torch.no_grad():
            prediction, output = network.predict(images), network(images)
        assert prediction.maps.shape == (3, 1, 4, 4)
        assert prediction.maps.min() >= 0
        assert (prediction.maps.amax(dim=(1, 2, 3)) <= prediction.scores + 1e-6).all()
        expected = (
            output.attention if name == "attention" else network.gaussians.locate(output.patches)
        )
        torch.testing.assert_close(prediction.parts["raw"].flatten(1), expected)


def test_location_equals_scikit_learn():
    rng = np.random.default_rng(0)
    width, grid = 12, 14
    mixing = rng.normal(size=(2, width, width))
    real = rng.normal(size=(12, grid, grid, width)) @ mixing[0]
    fake = rng.normal(size=(12, grid, grid, width)) @ mixing[1] + 1.5
    gaussians = PatchGaussians(width, (grid, grid))
    for part in range(2):  # batches of six of each class, of which the first four count
        faces = np.concatenate([real[part * 6 : part * 6 + 6], fake[part * 6 : part * 6 + 6]])
        labels = torch.tensor([0] * 6 + [1] * 6)
        gaussians.add(torch.tensor(faces, dtype=torch.float32).flatten(1, 2), labels)
    assert gaussians.locate(torch.rand(1, 4, width)).max() == 0  # not fitted yet
    gaussians.fit()
    used = [0, 1, 2, 3, 6, 7, 8, 9]
    whole = LedoitWolf().fit(real[used].reshape(-1, width))
    inner = LedoitWolf().fit(fake[used][:, 3:11, 3:11].reshape(-1, width))
    patches = np.concatenate([real[:1], fake[:1]]).reshape(2, -1, width)
    flat = patches.reshape(-1, width)
    gap = np.sqrt(whole.mahalanobis(flat)) - np.sqrt(inner.mahalanobis(flat))
    found = gaussians.locate(torch.tensor(patches, dtype=torch.float32))
    np.testing.assert_allclose(found.flatten(), np.maximum(gap, 0), rtol=1e-3, atol=1e-3)
    assert found[1].mean() > 10 * found[0].mean()
    assert gaussians.count.sum() == 0  # the next fit uses later values only


def test_strong_shrinkage_equals_scikit_learn():
    """Fewer patches than channels, off the origin."""
    values = np.random.default_rng(1).normal(size=(4, 4, 40)) + 3
    gaussians = PatchGaussians(40, (2, 2))
    gaussians.add(torch.tensor(values, dtype=torch.float32), torch.zeros(4, dtype=torch.long))
    gaussians.fit()
    expected = LedoitWolf().fit(values.reshape(-1, 40))
    assert expected.shrinkage_ > 0.1
    factor = gaussians.whitening[0].double()
    np.testing.assert_allclose(factor.T @ factor, expected.precision_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(gaussians.mean[0], expected.location_, rtol=1e-5)
    assert gaussians.fitted.tolist() == [1, 0]


def test_patches_all_alike_do_not_stop_a_run():
    gaussians = PatchGaussians(4, (2, 2))
    gaussians.add(torch.ones(2, 4, 4), torch.tensor([0, 1]))
    gaussians.fit()
    assert torch.isfinite(gaussians.whitening).all()


def test_correlation_by_hand():
    attention = torch.full((2, 3, 3), 0.5)
    forged = torch.tensor([[False, False, False], [True, True, False]])
    centres = torch.tensor([0.1, 0.9, 0.7])  # cross, inside, outside
    # real: six pairs of |0.5 - 0.7|, three of |0.5 - 1|; fake: four pairs inside (0.4), four across
    # (0.4), one outside (0.2); both over 3 * 3 - 3 pairs
    real, fake = (6 * 0.2 + 3 * 0.5) / 6, (4 * 0.4 + 4 * 0.4 + 0.2) / 6
    labels = torch.tensor([0, 1])
    found = correlation_loss(attention, forged, labels, centres)
    assert found.item() == pytest.approx(real + fake)  # a mean of each class, not of the batch
    more = torch.tensor([0, 1, 1])  # another fake like the first changes nothing
    assert correlation_loss(attention[more], forged[more], more, centres).item() == pytest.approx(
        real + fake
    )
    for label, expected in enumerate((real, fake)):
        alone = correlation_loss(
            attention[label, None], forged[label, None], labels[label, None], centres
        )
        assert alone.item() == pytest.approx(expected)


def test_correlation_is_weighted_and_marks_patches_of_fakes_alone(
    network, noise_faces, monkeypatch
):
    batch = noise_faces([0, 1, 0, 1])
    for _ in range(3):
        network.loss(batch)
    network.eval()
    network.centres.data.copy_(torch.tensor([0.2, 0.9, 0.6]))  # inside and outside differ
    everywhere = torch.ones(4, 16)
    monkeypatch.setattr(network.gaussians, "locate", lambda patches: everywhere)
    output, found = network(batch.images), network.loss(batch)["correlation"]
    attention = (output.queries[:, 1:] @ output.keys[:, 1:].mT).sigmoid()
    forged = (batch.labels == 1)[:, None].expand(-1, 16)
    expected = correlation_loss(attention, forged, batch.labels, network.centres)
    torch.testing.assert_close(found, 0.06 * expected)


def test_patches_weigh_equally_first():
    progress = torch.tensor([0.0, 0.12, 0.125, 0.7, 1.0])
    expected = [1, 1, 1 / (1 + np.exp(-6.9)), 0.5, 1 / (1 + np.exp(3.6))]
    assert uniform_share(progress).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("image_size", 16), ("map", "gap"), ("ramp_steps", -1)]
)
def test_bad_options_are_named(name, value):
    with pytest.raises(InputError, match=f"--options {name}={value}"):
        UiaVitConfig(**{name: value})


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "mixer_s16_224"])
def test_other_networks_are_refused(name):
    with pytest.raises(InputError, match="class token"):
        UiaVit(UiaVitConfig(encoder=name, encoder_weights="none"))
