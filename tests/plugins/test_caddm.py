import dataclasses

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from focus.errors import InputError
from focus.optim import learning_rate
from focus.types import Batch
from plugins.caddm import Caddm, CaddmConfig
from plugins.caddm.anchors import (
    Assignment,
    decode,
    encode,
    lay_anchors,
    match_anchors,
    measure_overlaps,
)
from plugins.caddm.losses import anchor_losses, choose_negatives
from plugins.caddm.painting import paint
from plugins.caddm.swapping import blend, draw_hulls, fill_boxes, membrane, swap_faces
from plugins.caddm.targets import draw_local_boxes, draw_windows

SIZE = 48
SMALL = CaddmConfig(backbone="resnet34", encoder_weights="none", image_size=SIZE, adm_width=16)
PATCH = (slice(20, 60), slice(120, 200))
LEVELS = {49: (40, 80), 25: (80, 120), 9: (120, 160), 1: (224, 224)}


def faces(count=8, size=SIZE, maps=True, companions=False):
    """Real and fake in turn; a fake has a coarse patch of noise, which its map marks."""
    images = torch.rand(count, 3, size, size) * 100
    labels = torch.arange(count) % 2
    marks = torch.zeros(count, 1, size, size)
    marks[labels == 1, :, size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
    noise = F.interpolate(torch.rand(count, 3, size // 4, size // 4) * 255, (size, size))
    originals = images.round().to(torch.uint8)
    return Batch(
        torch.where(marks > 0, noise, originals.float()),
        labels,
        marks if maps else None,
        tuple("abcdefgh"[:count]),
        torch.arange(count),
        companions=originals if companions else None,
    )


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


def test_anchors_are_the_papers_table():
    anchors = lay_anchors(224, 7)
    assert anchors.shape == (168, 4)
    shapes = [tuple(shape) for shape in anchors[:, 2:].int().tolist()]
    for cells, (short, long) in LEVELS.items():
        count = shapes.count((short, long))
        assert count == cells * (2 if short == long else 1)
        assert shapes.count((long, short)) == count
    assert anchors[[0, 1, 2, 14]].tolist() == [
        [16, 16, 40, 80],
        [16, 16, 80, 40],
        [48, 16, 40, 80],
        [16, 48, 40, 80],
    ]
    assert anchors[98].tolist() == [22.5, 22.5, 80, 120]
    assert anchors[148].tolist() == [37.5, 37.5, 120, 160]
    assert anchors[-1].tolist() == [112, 112, 224, 224]


def test_anchors_scale_with_the_picture_and_follow_the_grid():
    assert torch.allclose(lay_anchors(112, 7), lay_anchors(224, 7) / 2)
    large = lay_anchors(448, 14)
    assert len(large) == 2 * (14**2 + 12**2 + 10**2 + 1)
    assert large[:, :2].max() < 448
    assert large[-1].tolist() == [224, 224, 448, 448]


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


def test_overlaps_agree_with_torchvision():
    ops = pytest.importorskip("torchvision.ops")
    corners = torch.rand(2, 20, 2) * 100
    boxes = torch.cat([corners, corners + 1 + torch.rand(2, 20, 2) * 100], dim=-1)
    for one, two in zip(boxes, boxes.flip(1), strict=True):
        assert torch.allclose(measure_overlaps(one, two), ops.box_iou(one, two), atol=1e-6)


def test_encoding_is_undone_and_that_of_ssd():
    anchors = lay_anchors(224, 7)
    corners = torch.rand(168, 2) * 100
    boxes = torch.cat([corners, corners + 10 + torch.rand(168, 2) * 100], dim=-1)
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-3)
    box, anchor = torch.tensor([20.0, 30, 60, 110]), torch.tensor([50.0, 70, 80, 40])
    expected = [-10 / 8, 0, np.log(40 / 80) / 0.2, np.log(80 / 40) / 0.2]
    assert torch.allclose(encode(box, anchor), torch.tensor(expected, dtype=torch.float32))
    assert decode(torch.full((4,), 1e4), anchor).isfinite().all()


def match(local, present=(True, True)):
    boxes = torch.tensor([[[0.0, 0, 224, 224], local]])
    return match_anchors(lay_anchors(224, 7), boxes, torch.tensor([present]))


def test_global_box_takes_both_global_anchors():
    found = match([0.0, 0, 40, 80], (True, False))
    assert found.positive[0].nonzero().flatten().tolist() == [166, 167]
    assert torch.equal(found.offsets[0, -2:], torch.zeros(2, 4))


@pytest.mark.parametrize(
    "local", [[32.0, 40, 112, 80], [28.0, 90, 68, 170], [60.0, 60, 140, 180], [20.0, 50, 180, 170]]
)
def test_well_placed_local_boxes_take_one_to_three_anchors(local):
    assert 1 <= match(local).positive[0, :-2].sum() <= 3


def test_narrow_boxes_take_anchors_of_their_orientation():
    for local, wide in ([32.0, 40, 112, 80], True), ([28.0, 90, 68, 170], False):
        anchors = lay_anchors(224, 7)[match(local).positive[0]][:-2]
        assert ((anchors[:, 2] > anchors[:, 3]) == wide).all()


def test_a_box_without_overlap_of_half_still_takes_its_best_anchor():
    found = match([5.0, 5, 15, 15])
    assert found.positive[0, :-2].sum() == 1
    best = found.positive[0, :-2].nonzero()[0, 0]
    assert decode(found.offsets, lay_anchors(224, 7))[0, best].tolist() == pytest.approx(
        [5, 5, 15, 15], abs=1e-3
    )


def test_absent_boxes_take_no_anchor():
    assert not match([5.0, 5, 15, 15], (False, False)).positive.any()


def test_hard_negatives_agree_with_a_loop():
    torch.manual_seed(0)
    losses, positive = torch.rand(6, 30), torch.rand(6, 30) < 0.1
    positive[0] = False
    for least in (0, 6):
        chosen = choose_negatives(losses, positive, least)
        for image in range(6):
            wanted = max(2 * int(positive[image].sum()), least)
            order = sorted(range(30), key=lambda place: -losses[image, place])
            kept = [place for place in order if not positive[image, place]][:wanted]
            assert sorted(kept) == chosen[image].nonzero().flatten().tolist()


def test_anchor_losses_by_hand():
    confidences = torch.tensor([[[0.0, 2.0], [1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])
    offsets = torch.tensor([[[0.5, 0, 0, 2.0]] * 4])
    positive = torch.tensor([[True, False, False, False]])
    confidence, box = anchor_losses(
        confidences, offsets, Assignment(positive, torch.zeros(1, 4, 4))
    )
    # The positive, and the two hardest negatives: logits (0, 1) and (1, 0).
    expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(1)) + np.log1p(np.exp(-1))
    assert confidence.item() == pytest.approx(expected, abs=1e-5)
    assert box.item() == pytest.approx(0.5 * 0.25 + 1.5)


def test_boxes_are_not_transposed():
    maps = torch.zeros(1, 1, 224, 224)
    maps[0, 0][PATCH] = 1
    assert draw_windows(maps, ((40, 80),)).boxes.tolist() == [[120, 20, 200, 60]]
    torch.manual_seed(0)
    boxes, found = draw_local_boxes(maps.expand(64, -1, -1, -1))
    assert found.all()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (middle >= torch.tensor([120.0, 20])) & (middle <= torch.tensor([200.0, 60]))
    smaller = (boxes[:, 2] - boxes[:, 0] <= 80) & (boxes[:, 3] - boxes[:, 1] <= 40)
    assert inside[smaller].all()
    assert smaller.any()
    covered = F.max_pool2d(fill_boxes(boxes, 224) * maps, 224).flatten()
    assert covered.all()
    assert len(boxes.unique(dim=0)) > 6


def test_soft_maps_place_windows_where_they_are_strongest():
    y, x = np.mgrid[:224, :224]
    soft = np.exp(-((x - 95) ** 2 + (y - 125) ** 2) / (2 * 30**2)).astype(np.float32)
    boxes, found = draw_local_boxes(torch.from_numpy(soft)[None, None].expand(16, -1, -1, -1))
    assert found.all()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert torch.allclose(middle, torch.tensor([95.0, 125]).expand(16, -1), atol=8)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_empty_and_even_maps_have_no_local_box(level):
    assert not draw_local_boxes(torch.full((8, 1, 224, 224), level))[1].any()


def test_a_map_of_too_little_mass_has_no_local_box():
    maps = torch.zeros(2, 1, 224, 224)
    maps[0, :, 100:139, 100:140] = 1
    maps[1, :, 100:140, 100:140] = 1
    assert draw_local_boxes(maps)[1].tolist() == [False, True]


def test_windows_are_the_best_of_all():
    torch.manual_seed(0)
    maps = torch.rand(3, 1, 56, 56)
    windows = draw_windows(maps, ((40, 80),))
    sums = F.avg_pool2d(maps, (10, 20), stride=1)
    assert torch.allclose(windows.means, sums.amax(dim=(1, 2, 3)), rtol=2e-3)
    for box, mean, values in zip(windows.boxes.int().tolist(), windows.means, maps, strict=True):
        left, top, right, bottom = box
        assert values[0, top:bottom, left:right].mean().item() == pytest.approx(
            mean.item(), abs=1e-3
        )


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


def test_confident_boxes_are_painted_where_they_are():
    local = [[112.0, 16, 208, 56], [0, 0, 8, 16], [192, 16, 208, 32]]
    boxes = torch.tensor([local + [[0.0, 0, 224, 224]] * 2])
    painted = paint(boxes, torch.tensor([[0.8, 0.5, 0.5, 1.0, 1.0]]), 224)[0, 0]
    expected = torch.zeros(14, 14)
    expected[1:3, 7:13], expected[3, 7:13], expected[0, 0], expected[1, 12] = 0.8, 0.4, 0.25, 0.9
    assert torch.allclose(painted, expected)


def test_pasted_region_is_the_mask_and_outside_is_untouched():
    torch.manual_seed(0)
    below, content = torch.rand(2, 2, 3, 96, 96).mul(255).round().unbind(0)
    masks = draw_hulls(2, 96, 1.0, below.device)
    mixed = blend(below, content, masks, torch.tensor([False, False]))
    touched = F.max_pool2d(masks, 5, stride=1, padding=2).expand_as(below) > 0
    inner = F.max_pool2d(1 - masks, 5, stride=1, padding=2).expand_as(below) == 0
    assert torch.equal(mixed[~touched], below[~touched])
    assert torch.equal(mixed[inner], content[inner])
    assert (mixed != below)[touched].float().mean() > 0.9
    assert not torch.equal(masks[0], masks[1])


def test_seamless_blending_moves_colours_to_those_around_the_mask():
    texture = torch.rand(1, 3, 96, 96).mul(40).round()
    masks = fill_boxes(torch.tensor([[20.0, 30, 60, 70]]), 96)
    mixed = blend(texture + 100, texture + 40, masks, torch.tensor([True]))
    assert torch.allclose(mixed, texture + 100, atol=0.1)


def test_membrane_is_near_the_harmonic_function():
    y, x = np.mgrid[:96, :96].astype(np.float32)
    slope = torch.from_numpy(0.4 * x - 0.7 * y)[None, None]
    masks = draw_hulls(1, 96, 0, slope.device)
    inside = masks > 0
    error = (membrane(slope, masks) - slope)[inside].abs()
    assert error.mean() < 0.2 * slope[inside].std()
    assert membrane(slope, torch.ones_like(masks)).abs().max() == 0


def test_the_hull_is_an_ellipse_in_the_middle():
    hull = draw_hulls(1, 224, 0, torch.device("cpu"))[0, 0].numpy().astype(np.uint8)
    area = hull.mean()
    assert area == pytest.approx(np.pi * 0.37 * 0.47 / 1.3**2, rel=0.01)
    assert cv2.connectedComponents(hull)[0] == 2


def test_swaps_have_the_papers_shares_and_only_fakes_take_part():
    torch.manual_seed(0)
    count, side = 512, 56
    originals = torch.rand(1, 3, side, side).mul(255).round().expand(count, -1, -1, -1)
    images = 255 - originals
    fake = torch.arange(count) % 4 != 0
    images = torch.where(fake.view(-1, 1, 1, 1), images, originals)
    evidence = ((images - originals).abs().mean(dim=1, keepdim=True) / 255).clamp(0, 1)
    swapped = swap_faces(images, originals, fake, evidence, 1e-3)
    assert torch.equal(swapped.images[~fake], originals[~fake])
    assert not swapped.partial[~fake].any()
    corner = swapped.images[fake][:, 0, 0, 0]  # outside every hull: the image below
    below_is_real = corner == originals[0, 0, 0, 0]
    partial = swapped.partial[fake]
    assert partial.float().mean().item() == pytest.approx(0.2, abs=0.06)
    assert (below_is_real & ~partial).float().mean().item() == pytest.approx(0.2, abs=0.06)
    same = (swapped.images == images)[fake].flatten(1).all(dim=1)
    whole = (swapped.boxes[fake][:, 2] - swapped.boxes[fake][:, 0]) == side
    assert (same & ~(partial & whole)).float().mean().item() == pytest.approx(0.2, abs=0.06)


def test_partial_swaps_change_their_window_alone():
    torch.manual_seed(0)
    originals = torch.rand(64, 3, 56, 56).mul(100).round()
    images = originals + 100
    evidence = torch.zeros(64, 1, 56, 56)
    evidence[:, :, 20:30, 15:35] = 1
    swapped = swap_faces(images, originals, torch.ones(64, dtype=torch.bool), evidence, 0.1)
    partial = swapped.partial
    assert 4 < partial.sum() < 24
    changed = (swapped.images != originals).any(dim=1, keepdim=True)[partial]
    windows = fill_boxes(swapped.boxes, 56)[partial]
    assert (evidence[partial] * windows).flatten(1).any(dim=1).all()
    reach = F.max_pool2d(windows, 5, stride=1, padding=2) > 0
    assert not (changed & ~reach).any()


def test_a_swap_that_gives_the_original_is_taken_back():
    originals = torch.rand(64, 3, 56, 56).mul(100).round()
    hull = draw_hulls(1, 56, 0, originals.device)
    inner = 1 - F.max_pool2d(1 - hull, 9, stride=1, padding=4)
    images = originals + 100 * inner
    torch.manual_seed(0)
    swapped = swap_faces(images, originals, torch.ones(64, dtype=torch.bool), inner, 0.1)
    assert (swapped.images != originals).flatten(1).any(dim=1).all()


def test_mfs_needs_originals_and_uses_maps_if_there_are_any():
    network = Caddm(dataclasses.replace(SMALL, mode="mfs"))
    assert network.companion == "original"
    batch = faces(companions=True)
    for maps in (batch.maps, None):
        terms = network.loss(batch._replace(maps=maps))
        assert list(terms) == ["classification", "anchor_confidence", "anchor_box"]
        assert all(value.isfinite() for value in terms.values())
    with pytest.raises(InputError, match="mode=mfs"):
        network.loss(faces())


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
