"""Boxes from maps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from plugins.caddm.swapping import fill_boxes
from plugins.caddm.targets import draw_local_boxes, draw_windows

PATCH = (slice(20, 60), slice(120, 200))


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
