"""CADDM: backbones, outputs, loss terms and settings."""

import dataclasses

import pytest
import torch

from focus.errors import InputError
from focus.optim import learning_rate
from plugins.caddm import Caddm, CaddmConfig
from plugins.caddm.targets import draw_local_boxes
from tests.plugins.caddm.making import SIZE, SMALL, faces


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Caddm(SMALL)


@pytest.mark.parametrize(
    ("backbone", "published"),
    [("resnet34", 44.0), ("tf_efficientnet_b3", 211.0), ("tf_efficientnet_b4", 289.7)],
)
def test_parameters_are_the_published_ones_less_the_unused_classifier(backbone, published):
    with torch.device("meta"):
        network = Caddm(CaddmConfig(backbone=backbone, encoder_weights="none"))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == published
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count - learning == 1000 * (network.classifier.in_features + 1)


@pytest.mark.parametrize(
    ("backbone", "tag"), [("resnet34", "tv_in1k"), ("tf_efficientnet_b4", "aa_in1k")]
)
def test_backbones_start_from_the_released_weights(backbone, tag):
    with torch.device("meta"):
        network = Caddm(CaddmConfig(backbone=backbone, encoder_weights="none"))
    assert network.backbone.default_cfg["tag"] == tag


def test_the_default_is_tensorflows_efficientnet():
    with torch.device("meta"):
        backbone = Caddm(CaddmConfig(encoder_weights="none")).backbone
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert type(backbone.conv_stem).__name__ == "Conv2dSame"
    blocks = [block for stage in backbone.blocks for block in stage]
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks]
    assert rates == pytest.approx([0.2 * place / 32 for place in range(32)])


@pytest.mark.parametrize("size", [48, 224, 256])
def test_output_has_a_row_for_each_anchor(size):
    network = Caddm(dataclasses.replace(SMALL, image_size=size)).eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, size, size) * 255)
        prediction = network.predict(torch.rand(2, 3, size, size) * 255)
    count = len(network.anchors)
    assert count == (234 if size == 256 else 168)
    assert output.logits.shape == (2, 2)
    assert output.offsets.shape == (2, count, 4)
    assert output.confidences.shape == (2, count, 2)
    assert prediction.maps.shape == (2, 1, 14, 14)
    assert prediction.maps.min() >= 0
    assert prediction.maps.max() <= 1


def test_full_width_reaches_the_classifier_unreduced():
    with torch.device("meta"):
        network = Caddm(CaddmConfig(backbone="resnet34", encoder_weights="none"))
        output = network(torch.rand(1, 3, 224, 224))
    assert output.offsets.shape == (1, 168, 4)
    assert network.detection.end.shortcut.in_channels == 512


def test_channels_reach_the_backbone_as_bgr(small):
    seen = []
    hook = small.backbone.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, SIZE, SIZE) * 255
    small.eval()(images)
    hook.remove()
    assert torch.equal(seen[0], images[:, [2, 1, 0]])
    assert torch.equal(small.input_spec.standardise(images.to(torch.uint8)), images.floor())


def test_loss_terms_with_and_without_maps(small):
    small.train()
    batch = faces()
    terms = small.loss(batch)
    assert list(terms) == ["classification", "anchor_confidence", "anchor_box"]
    sum(terms.values()).backward()
    learning = [p for p in small.parameters() if p.requires_grad]
    assert all(parameter.grad is not None for parameter in learning)
    small.zero_grad(set_to_none=True)
    assert list(small.loss(batch._replace(maps=None))) == ["classification"]


def test_a_real_face_has_no_box_whatever_its_map(small):
    local, fake = torch.tensor([[0.0, 0.0, 20.0, 20.0]] * 2), torch.tensor([False, True])
    positive = small._assign(fake, local, torch.tensor([True, True])).positive
    assert positive.any(dim=1).tolist() == [False, True]


def test_both_anchor_losses_are_weighted(small, monkeypatch):
    small.eval()
    found = []
    for weight in (0.1, 0.3):
        monkeypatch.setattr(small, "config", dataclasses.replace(SMALL, detection_weight=weight))
        torch.manual_seed(0)
        with torch.no_grad():
            found.append(small.loss(faces()))
    for name, factor in (("classification", 1), ("anchor_confidence", 3), ("anchor_box", 3)):
        torch.testing.assert_close(found[1][name], factor * found[0][name])


def test_real_faces_teach_the_anchors_only_if_asked(small):
    batch = faces()
    batch = batch._replace(labels=torch.zeros(8, dtype=torch.int64), maps=batch.maps * 0)
    terms = small.loss(batch)
    assert terms["anchor_confidence"] == 0
    assert terms["anchor_box"] == 0
    eager = Caddm(dataclasses.replace(SMALL, min_neg_per_image=6))
    assert eager.loss(batch)["anchor_confidence"] > 0


def test_an_empty_map_on_a_fake_leaves_the_global_box(small):
    batch = faces()
    fake = batch.labels == 1
    assignment = small._assign(fake, *draw_local_boxes(batch.maps * 0))
    assert assignment.positive.sum(dim=1).tolist() == [0, 2] * 4


def test_schedule_is_the_papers():
    steps = Caddm.steps
    assert steps == 200 * 5 * 720 // Caddm.batch
    rates = [learning_rate(steps * k // 200, steps, Caddm.optimizer) for k in (0, 3, 5, 9, 11, 199)]
    assert rates == pytest.approx([3.6e-4, 3.6e-4, 1e-4, 1e-4, 5e-5, 5e-5])
    assert Caddm.optimizer.clip_value == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("backbone", "vgg"), ("mode", "pairs"), ("image_size", 16), ("min_neg_per_image", -1)],
)
def test_bad_settings_are_named(name, value):
    with pytest.raises(InputError, match=f"--options {name}={value}"):
        CaddmConfig(**{name: value})
