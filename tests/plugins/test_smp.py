from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import save_file

from evaluator.cli import main as evaluator
from focus.errors import InputError
from focus.macs import count_macs
from focus.types import Batch
from plugins import create_backbone
from plugins.smp import Smp, SmpConfig

package = pytest.importorskip("segmentation_models_pytorch")

SIZES = {"PAN": 128}  # its pyramid pools the deepest features three times
ARCHITECTURES = sorted(kind.__name__ for kind in package.MODEL_ARCHITECTURES_MAPPING.values())


def build(**options):
    torch.manual_seed(0)
    small = {"encoder": "test_resnet", "encoder_weights": "none", "image_size": 64}
    return Smp(SmpConfig(**small | options))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_class_and_map(architecture):
    size = SIZES.get(architecture, 64)
    encoder = "test_vit" if architecture == "DPT" else "test_resnet"
    network = build(architecture=architecture, encoder=encoder, image_size=size).train()
    maps = torch.rand(2, 1, size, size)
    batch = Batch(
        torch.randn(2, 3, size, size), torch.tensor([0, 1]), maps, ("a", "b"), torch.arange(2)
    )
    terms = network.loss(batch)
    assert set(terms) == {"classification", "map"}
    sum(terms.values()).backward()
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {name for name, p in network.named_parameters() if p.grad is not None} == learning
    single = batch._replace(images=batch.images[:1], labels=batch.labels[:1], maps=maps[:1])
    assert all(torch.isfinite(term) for term in network.loss(single).values())
    scores, drawn, _ = network.eval().predict(batch.images)
    assert (scores.shape, drawn.shape) == ((2,), (2, 1, size, size))


def test_losses_by_hand(batch):
    network = build(map_weight=3.0).eval()
    logits, drawn = network(batch.images)
    chance = drawn.sigmoid()
    entropy = -(batch.maps * chance.log() + (1 - batch.maps) * (1 - chance).log())
    expected = {
        "classification": -logits.log_softmax(1)[torch.arange(8), batch.labels].mean(),
        "map": 3 * entropy.mean(),
    }
    torch.testing.assert_close(dict(network.loss(batch)), expected)
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}
    weak = batch._replace(maps=0.6 * batch.maps)
    assert network.loss(weak)["map"] != expected["map"]
    network.config = SmpConfig(map_weight=3.0, map_mode="hard")
    torch.testing.assert_close(network.loss(weak)["map"], expected["map"])


@pytest.mark.parametrize(
    ("architecture", "encoder", "size", "millions", "gmacs"),
    [("DeepLabV3Plus", "resnet50", 256, 26.68, 9.14), ("Segformer", "mit_b0", 224, 3.715, 1.325)],
)
def test_sizes(architecture, encoder, size, millions, gmacs):
    network = build(architecture=architecture, encoder=encoder, image_size=size).to("meta").eval()
    macs, _ = count_macs(lambda: network(torch.zeros(1, 3, size, size, device="meta")))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=1e-3)
    assert macs / 1e9 == pytest.approx(gmacs, rel=2e-3)


def test_parameters_that_no_output_uses_are_frozen():
    network = build(architecture="PSPNet", encoder="mit_b0")
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert len(frozen) == 84
    assert all(
        "encoder.patch_embed" in name or "encoder.block" in name or "norm" in name
        for name in frozen
    )


def test_one_face_leaves_the_statistics_of_pooled_features():
    network = build().train()
    (name,) = network.pooled
    pooled = network.network.get_submodule(name)
    faces, before = torch.randn(2, 3, 64, 64), pooled.running_mean.clone()
    network(faces[:1])
    assert torch.equal(pooled.running_mean, before)
    assert pooled.training
    network(faces)
    assert not torch.equal(pooled.running_mean, before)


def test_weights_of_a_timm_model_fill_the_encoder(tmp_path):
    torch.manual_seed(1)
    whole, path = create_backbone("test_resnet", "none"), tmp_path / "weights.safetensors"
    save_file(whole.state_dict(), path)
    encoder = build(encoder_weights=str(path)).network.encoder
    assert encoder.is_pretrained
    given = whole.state_dict()
    assert all(torch.equal(given[key], value) for key, value in encoder.model.state_dict().items())
    assert not build().network.encoder.is_pretrained


def test_weights_of_the_packages_own_encoder(tmp_path):
    torch.manual_seed(1)
    whole = package.create_model("FPN", "mit_b0", encoder_weights=None)
    path = tmp_path / "weights.safetensors"
    save_file(whole.encoder.state_dict(), path)
    encoder = build(encoder="mit_b0", encoder_weights=str(path)).network.encoder
    assert torch.equal(encoder.norm1.weight, whole.encoder.norm1.weight)
    assert torch.equal(encoder.patch_embed2.proj.weight, whole.encoder.patch_embed2.proj.weight)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="do not fit mit_b0"):
        build(encoder="mit_b0", encoder_weights=str(path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 70}, "image_size=70: .* needs a multiple of 16; the next is 80"),
        ({"architecture": "PAN"}, "image_size=64: PAN .* cannot process it"),
        ({"architecture": "Net"}, "architecture=Net: must be one of DPT, DeepLabV3"),
        ({"encoder": "resnet35"}, "encoder=resnet35: neither .*; near: resnet"),
        ({"encoder": "mit_b0", "encoder_weights": "timm"}, "give a file"),
        ({"architecture": "Unet", "encoder": "test_vit", "image_size": 160}, "cannot be built on"),
        ({"map_weight": 0.0}, "map_weight"),
    ],
)
def test_bad_settings_are_one_line(options, said):
    with pytest.raises(InputError, match=said):
        build(**options)


def test_a_missing_package_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    assert evaluator(["check", "smp"]) == 2
    assert "pip install 'focus-forgery[smp]'" in capsys.readouterr().err
    assert evaluator(["models", "--json", "-"]) == 0
