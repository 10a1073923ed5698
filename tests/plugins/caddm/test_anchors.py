"""Anchors, overlaps and matching."""

import numpy as np
import pytest
import torch

from plugins.caddm.anchors import (
    decode,
    encode,
    lay_anchors,
    match_anchors,
    measure_overlaps,
)

LEVELS = {49: (40, 80), 25: (80, 120), 9: (120, 160), 1: (224, 224)}


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


def test_anchors_scale_with_the_image_and_follow_the_grid():
    assert torch.allclose(lay_anchors(112, 7), lay_anchors(224, 7) / 2)
    large = lay_anchors(448, 14)
    assert len(large) == 2 * (14**2 + 12**2 + 10**2 + 1)
    assert large[:, :2].max() < 448
    assert large[-1].tolist() == [224, 224, 448, 448]


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
