from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins.catnet import CatNet, CatNetConfig
from plugins.catnet.model import weighted_cross_entropy
from plugins.catnet.planes import binary_planes, blocks_to_cells, luma_coefficients
from plugins.catnet.streams import DctStream


def build(**options):
    torch.manual_seed(0)
    small = {"encoder": "hrnet_w18_small", "encoder_weights": "none", "image_size": 64}
    return CatNet(CatNetConfig(**small | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


def colours(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def test_size_of_the_code():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = CatNet(CatNetConfig(encoder_weights="none"))
        images = torch.zeros(2, 3, 512, 512)
        macs, output = count_macs(lambda: network(images))
        levels = network.dct(network.planes(images))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(114.3e6, rel=0.005)
    assert macs / 2e9 == pytest.approx(133, rel=0.01)
    assert macs / 2e9 == pytest.approx(CatNet.gmacs, rel=0.01)
    assert output.map_logits.shape == (2, 2, 128, 128)
    assert [tuple(x.shape[1:]) for x in levels] == [(96, 64, 64), (192, 32, 32), (384, 16, 16)]


def test_coefficients_are_opencvs_dct():
    images = colours(2, 3, 16, 24)
    found = luma_coefficients(images.float())
    for image, plane in zip(images, found[:, 0].numpy(), strict=True):
        weighted = image.numpy().astype(np.float64) * np.array([0.299, 0.587, 0.114])[:, None, None]
        luma = np.rint(weighted.sum(axis=0)) - 128
        for row in range(0, 16, 8):
            for column in range(0, 24, 8):
                block = (slice(row, row + 8), slice(column, column + 8))
                # Rounded, so equal up to a tie.
                np.testing.assert_allclose(plane[block], cv2.dct(luma[block]), atol=0.51)
    assert torch.equal(found, found.round())


def test_planes_sum_to_one_and_tell_the_magnitude():
    coefficients = torch.tensor([0.0, -1, 19, 20, -21, 1016, 3, -19]).view(1, 1, 1, 8)
    planes = binary_planes(coefficients)
    assert torch.equal(planes.sum(dim=1), torch.ones(1, 1, 8))
    assert planes.argmax(dim=1).flatten().tolist() == [0, 1, 19, 20, 20, 20, 3, 19]


def test_a_flat_block_has_only_its_dc():
    found = luma_coefficients(torch.full((1, 3, 8, 8), 200.0))[0, 0]
    assert found[0, 0] == 8 * (200 - 128)
    assert found.count_nonzero() == 1


def test_standardisation_is_undone_exactly(network, monkeypatch):
    seen = []

    def overhear(given):
        seen.append(given)
        return luma_coefficients(given)

    monkeypatch.setattr("plugins.catnet.model.luma_coefficients", overhear)
    every = torch.arange(256, dtype=torch.uint8).repeat(48).view(1, 3, 64, 64)
    network.planes(network.input_spec.standardise(every))
    assert torch.equal(seen[0], every.float())
    assert network.input_spec.standardise(every).aminmax() == (-1, 1)


def test_a_shift_by_eight_pixels_moves_the_cells_by_one():
    torch.manual_seed(0)
    stream, images = DctStream([16, 32, 64]).eval(), colours(1, 3, 64, 64).float()
    with torch.no_grad():
        cells, moved = (
            blocks_to_cells(stream.reduce(binary_planes(luma_coefficients(given))))
            for given in (images, images.roll(8, dims=3))
        )
    assert cells.shape == (1, 256, 8, 8)
    inside = slice(2, -1)
    torch.testing.assert_close(moved[..., inside, inside], cells[..., inside, 1:-2])
    assert not torch.allclose(moved, cells)


def test_cells_hold_one_channel_for_each_place_of_a_block():
    features = torch.arange(2 * 16 * 8.0).view(1, 2, 16, 8)
    cells = blocks_to_cells(features)
    assert cells.shape == (1, 128, 2, 1)
    assert torch.equal(cells[0, 64:, 1, 0], features[0, 1, 8:].flatten())


def test_the_planes_matter_and_carry_no_gradient(network, batch):
    images = batch.images.clamp(-1, 1).requires_grad_()
    assert not network.planes(images).requires_grad
    hook = network.dct.register_forward_pre_hook(lambda _, given: (given[0].roll(1, dims=1),))
    with torch.no_grad():
        without = network(images)
    hook.remove()
    with torch.no_grad():
        assert not torch.allclose(network(images).map_logits, without.map_logits)


def test_pixels_are_weighted(network, batch):
    logits, truth = torch.randn(4, 2, 8, 8), torch.randint(0, 2, (4, 8, 8))
    found = weighted_cross_entropy(
        logits, F.one_hot(truth, 2).permute(0, 3, 1, 2).float(), (0.5, 2.5)
    )
    expected = F.cross_entropy(logits, truth, torch.tensor([0.5, 2.5]))
    torch.testing.assert_close(found, expected)
    output = network(batch.images)
    enlarged = F.interpolate(output.map_logits, (64, 64), mode="bilinear")
    weights = torch.tensor([0.5, 2.5])
    expected = {
        "classification": F.cross_entropy(output.logits, batch.labels),
        "map": F.cross_entropy(enlarged, batch.maps[:, 0].long(), weights),
    }
    torch.testing.assert_close(network.loss(batch._replace(maps=batch.maps * 0.6)), expected)
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}


@pytest.mark.parametrize(
    "change", [{"image_size": 80}, {"fake_weight": 0.0}, {"class_weight": -1.0}, {"map_mode": "a"}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        CatNetConfig(**change)


def test_other_encoders_are_refused():
    with pytest.raises(InputError, match="use an HRNet"):
        build(encoder="resnet18")
