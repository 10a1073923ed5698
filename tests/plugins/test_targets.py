import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from focus.errors import InputError
from plugins.targets import (
    MapConfig,
    area_average,
    class_probabilities,
    consistency_volume,
    edges,
    harden,
    pixel_cross_entropy,
)


def test_hard_maps_are_thresholded_and_soft_ones_are_not():
    maps = torch.tensor([0.0, 0.3, 0.4, 1.0])
    assert MapConfig(map_threshold=0.4).read_maps(maps).tolist() == [0, 0, 1, 1]
    assert torch.equal(MapConfig("soft").read_maps(maps), maps)
    for settings in ({"map_mode": "firm"}, {"map_threshold": 0}, {"map_threshold": 1.1}):
        with pytest.raises(InputError, match=next(iter(settings))):
            MapConfig(**settings)


def test_area_average_keeps_the_mass_of_a_thin_band():
    maps = torch.zeros(1, 1, 256, 256)
    maps[..., 53:59, 40:200] = 1  # 6 x 160 px = 3.75 cells of 16 x 16
    assert area_average(maps, 16).sum().item() == pytest.approx(3.75)
    sampled = F.interpolate(maps, (16, 16), mode="bilinear", align_corners=True)
    assert abs(sampled.sum().item() - 3.75) > 1  # as point sampling does not


def test_area_average_is_opencvs():
    maps = torch.rand(2, 1, 96, 64)
    found = area_average(maps, (6, 8))
    for plane, mean in zip(maps[:, 0], found[:, 0], strict=True):
        truth = cv2.resize(plane.numpy(), (8, 6), interpolation=cv2.INTER_AREA)
        torch.testing.assert_close(mean, torch.from_numpy(truth))


@pytest.mark.parametrize("shape", [(2, 1, 30, 45), (1, 1, 5, 40, 40), (2, 1, 7, 7), (2, 1, 1, 1)])
def test_area_average_of_any_shape(shape):
    maps = torch.full(shape, 0.3)  # also smaller than the grid, and a clip
    found = area_average(maps, 14)
    assert found.shape == (*shape[:-2], 14, 14)
    torch.testing.assert_close(found, torch.full_like(found, 0.3))


def test_harden_includes_the_threshold():
    assert harden(torch.tensor([0.49, 0.5, 1.0]), 0.5).tolist() == [0, 1, 1]


def test_consistency_by_hand():
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., :2, :2] = 1  # one of four cells, the first: the first row and column are not special
    maps[..., 2:, 2:] = 0.25
    volume = consistency_volume(maps, 2).reshape(4, 4)
    expected = [[1, 0, 0, 0.25], [0, 1, 1, 0.75], [0, 1, 1, 0.75], [0.25, 0.75, 0.75, 1]]
    assert volume.tolist() == expected


def test_consistency_of_every_pair_is_the_loops():
    maps = torch.rand(2, 1, 24, 32)
    volume = consistency_volume(maps, (3, 4))
    cells = area_average(maps, (3, 4))[:, 0]
    for a in range(3):
        for b in range(4):  # b = 0: the column that public code fills with the mask
            torch.testing.assert_close(
                volume[:, a, b], 1 - (cells[:, a, b, None, None] - cells).abs()
            )
    torch.testing.assert_close(volume, volume.permute(0, 3, 4, 1, 2))
    assert torch.equal(volume.flatten(3).flatten(1, 2).diagonal(dim1=1, dim2=2), torch.ones(2, 12))
    torch.testing.assert_close(volume, consistency_volume(1 - maps, (3, 4)))


def test_consistency_of_an_empty_map_is_one():
    assert consistency_volume(torch.zeros(2, 1, 32, 32), 16).eq(1).all()


def test_class_probabilities():
    maps = torch.tensor([[[[0.0, 0.4, 0.6]]]])
    soft, hard = (class_probabilities(maps, mode, 0.5) for mode in ("soft", "hard"))
    torch.testing.assert_close(soft, torch.tensor([[[[1.0, 0.6, 0.4]], [[0.0, 0.4, 0.6]]]]))
    assert hard.tolist() == [[[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]]


def test_hard_cross_entropy_is_torchs_with_ignored_pixels():
    logits, maps = torch.randn(3, 2, 8, 8), torch.rand(3, 1, 8, 8)
    valid = torch.rand(3, 1, 8, 8) > 0.3
    truth = (maps >= 0.5).long()
    torch.testing.assert_close(
        pixel_cross_entropy(logits, maps), F.cross_entropy(logits, truth[:, 0])
    )
    ignoring = torch.where(valid, truth, 255)[:, 0]
    torch.testing.assert_close(
        pixel_cross_entropy(logits, maps, valid=valid),
        F.cross_entropy(logits, ignoring, ignore_index=255),
    )


def test_soft_cross_entropy_is_the_binary_one_of_the_difference():
    logits, maps = torch.randn(3, 2, 8, 8), torch.rand(3, 1, 8, 8)
    expected = F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], maps[:, 0])
    torch.testing.assert_close(pixel_cross_entropy(logits, maps, "soft"), expected)


def test_cross_entropy_at_the_size_of_the_maps_over_a_part_of_the_batch():
    logits, maps = torch.randn(2, 2, 4, 4, requires_grad=True), torch.rand(2, 1, 16, 16)
    first = torch.tensor([True, False]).view(2, 1, 1, 1)
    torch.testing.assert_close(
        pixel_cross_entropy(logits, maps, valid=first), pixel_cross_entropy(logits[:1], maps[:1])
    )
    none = pixel_cross_entropy(logits, maps, valid=torch.zeros(2, 1, 1, 1, dtype=torch.bool))
    none.backward()
    assert none.item() == 0
    assert logits.grad.eq(0).all()


def test_edges_are_opencvs_and_stop_at_the_border():
    maps = (torch.rand(3, 1, 40, 33) > 0.9).float()
    maps[0] = 0
    maps[0, :, 10:, :20] = 1  # touches three borders
    found = edges(maps, 7)
    element = np.ones((7, 7), np.uint8)
    for plane, edge in zip(maps[:, 0].numpy(), found[:, 0], strict=True):
        truth = cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, element)
        assert torch.equal(edge, torch.from_numpy(truth))
    assert found[0, 0, 39].tolist() == [0.0] * 17 + [1.0] * 6 + [0.0] * 10
    assert not edges(torch.ones(1, 1, 9, 9), 3).any()
    assert not edges(maps, 1).any()
