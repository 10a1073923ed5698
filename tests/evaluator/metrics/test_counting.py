from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import binary_confusion_matrix

from evaluator.metrics import counting
from evaluator.metrics.counting import EDGES, HALF, count_levels, resize_levels
from focus.ranking import auc


def draw_maps(count, grid, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *grid)).astype(np.uint8)


def weigh(side, length):
    """Return integer weights of bilinear resizing, (length, side), that sum to 2 * length."""
    weights = np.zeros((length, side), dtype=np.int64)
    for place in range(length):
        low, part = divmod(max((2 * place + 1) * side - length, 0), 2 * length)
        weights[place, low] += 2 * length - part
        weights[place, min(low + 1, side - 1)] += part
    return weights


@pytest.mark.parametrize(
    ("grid", "size"),
    [((14, 14), (112, 112)), ((14, 9), (61, 100)), ((50, 40), (23, 31)), ((112, 112), (96, 150))],
)
def test_levels_are_those_of_integer_arithmetic(grid, size):
    maps = draw_maps(4, grid)
    rows, columns = (weigh(*sides) for sides in zip(grid, size, strict=True))
    whole = 4 * size[0] * size[1]
    sums = rows @ maps.astype(np.int64) @ columns.T
    expected = -((whole - 2 * sums) // (2 * whole))  # to the nearest, a half down
    found = resize_levels(torch.from_numpy(maps), size)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(("grid", "size"), [(14, 224), (56, 224), (224, 112), (14, 112)])
def test_levels_at_usual_sizes_are_those_of_opencv(grid, size):
    maps = draw_maps(8, (grid, grid), seed=1)
    resized = [cv2.resize(map_.astype(np.float32), (size, size)) for map_ in maps]
    found = resize_levels(torch.from_numpy(maps), (size, size))
    np.testing.assert_array_equal(found.numpy(), np.ceil(np.stack(resized) - 0.5))


def test_floats_and_stored_levels_are_the_same_map():
    maps = draw_maps(3, (7, 5))
    floats = torch.from_numpy((maps / 255).astype(np.float32))
    for size in ((7, 5), (20, 33)):
        assert torch.equal(resize_levels(floats, size), resize_levels(torch.from_numpy(maps), size))


def test_level_128_is_exactly_what_lies_above_one_half():
    above = np.nextafter(np.float32(0.5), np.float32(1))
    values = torch.tensor([[[0.5, above, 0.0, 1.0]]])
    assert (resize_levels(values, (1, 4)) >= 128).tolist() == [[[False, True, False, True]]]
    assert resize_levels(torch.tensor([[[0, 255]]]).byte(), (1, 3)).tolist() == [[[0, 127, 255]]]
    assert resize_levels(torch.tensor([[[127, 128]]]).byte(), (1, 2)).tolist() == [[[127, 128]]]


@pytest.mark.parametrize("pixels", [1, 1500, 2**20])
def test_counts_are_those_of_scikit_learn_and_torchmetrics(monkeypatch, pixels):
    monkeypatch.setattr(counting, "_CPU_PIXELS", pixels)  # one face at a time, three, all
    generator = np.random.default_rng(2)
    maps, masks = draw_maps(7, (5, 6)), generator.random((7, 17, 23)) < 0.3
    regions = generator.random((7, 17, 23)) < 0.6
    found = count_levels(*map(torch.from_numpy, (maps, masks, regions)))
    levels = resize_levels(torch.from_numpy(maps), (17, 23))
    areas = [roc_auc_score(masks[i].ravel(), levels[i].ravel()) for i in range(7)]
    np.testing.assert_allclose(auc(found.inside, found.outside), areas, atol=0.01)
    rows, columns = weigh(5, 17), weigh(6, 23)
    exact = rows @ maps.astype(np.int64) @ columns.T
    areas = [roc_auc_score(masks[i].ravel(), exact[i].ravel()) for i in range(7)]
    np.testing.assert_allclose(found.pixel_auc, areas, rtol=1e-9)
    areas = [roc_auc_score(masks[i][regions[i]], exact[i][regions[i]]) for i in range(7)]
    np.testing.assert_allclose(found.region_auc, areas, rtol=1e-9)
    for face in range(7):
        limit = np.searchsorted(EDGES, 99.5 / 255)
        marked, truth = (levels[face] >= 100).int(), torch.from_numpy(masks[face]).int()
        rows = [part[face] for part in (found.outside, found.inside)]
        matrix = [[int(row[:limit].sum()), int(row[limit:].sum())] for row in rows]
        assert matrix == binary_confusion_matrix(marked, truth).tolist()
    alone = count_levels(*map(torch.from_numpy, (maps, masks)))
    np.testing.assert_array_equal(alone.inside, found.inside)
    np.testing.assert_array_equal(alone.outside, found.outside)
    assert np.isnan(alone.region_auc).all()


def test_levels_lie_between_their_edges():
    values = np.sort(np.random.default_rng(0).random(2000)) ** 12
    maps = torch.from_numpy(values.reshape(1, 40, 50))
    found = count_levels(maps, torch.zeros(1, 40, 50, dtype=torch.bool))
    edges = np.append(EDGES, 2.0)
    edges[1] = np.nextafter(0, 1)  # level 0 is zero alone
    np.testing.assert_array_equal(found.outside[0], np.histogram(values, edges)[0])
    assert EDGES[HALF] == 0.5
    assert (np.diff(EDGES) > 0).all()


def test_what_does_not_fit_is_refused():
    maps, masks = torch.zeros(2, 4, 4), torch.zeros(2, 3, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="the regions are 2 x 3 x 2, the masks 2 x 3 x 3"):
        count_levels(maps, masks, masks[..., :2])
    with pytest.raises(ValueError, match="1 map, 2 masks"):
        count_levels(maps[:1], masks)


def test_nothing_is_counted_of_no_faces():
    found = count_levels(torch.zeros(0, 4, 4), torch.zeros(0, 3, 3, dtype=torch.bool))
    assert [part.shape for part in found] == [(0, 512), (0, 512), *[(0,)] * 4]
