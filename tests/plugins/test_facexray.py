from __future__ import annotations

import math

import pytest
import torch
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from plugins.facexray import FaceXray, FaceXrayConfig
from plugins.facexray.targets import boundary, fill

SMALL = {"encoder": "test_byobnet", "encoder_weights": "none", "image_size": 64}


def build(**options):
    torch.manual_seed(0)
    return FaceXray(FaceXrayConfig(**SMALL | options)).eval()


@pytest.fixture(scope="module")
def network():
    return build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("head", "weights"), [("pool", 6), ("mlp", 16_909_698)])
def test_size(head, weights):
    with FakeTensorMode():  # shapes alone, nothing computed
        network = FaceXray(FaceXrayConfig(encoder_weights="none", head=head))
        images = torch.zeros(2, 3, 256, 256)
        body, levels = count_macs(lambda: network.backbone(images))
        macs, (logits, xray) = count_macs(lambda: network(images))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (width, side, side) for width, side in ((48, 64), (96, 32), (192, 16), (384, 8))
    ]
    assert count(network.backbone) / 1e6 == pytest.approx(65.3, rel=0.01)
    assert body / 2e9 == pytest.approx(21.2, rel=0.01)
    added = 720 * 256 * 9 + 256 * 128 * 9 + 128  # of the convolutions of the head
    assert count(network.xray) == added + 1 + 2 * (256 + 128)
    assert count(network.classifier) == weights
    own = weights - 2 if head == "pool" else weights - 1024 - 128 - 2  # without biases
    assert (macs - body) / 2 == added * 64 * 64 + own
    assert FaceXray.gmacs == pytest.approx(macs / 2e9, rel=0.01)
    assert (logits.shape, xray.shape) == ((2, 2), (2, 1, 256, 256))


def step_map(size=256, place=100):
    maps = torch.zeros(1, 1, size, size)
    maps[..., place:] = 1
    return maps


def test_the_boundary_of_a_step_is_that_of_a_blurred_step():
    found = boundary(step_map())[0, 0]
    places = torch.arange(256) - 99.5  # distances of pixels from the edge
    blurred = 0.5 * (1 + torch.erf(places / (4 * math.sqrt(2))))
    torch.testing.assert_close(found[128], 4 * blurred * (1 - blurred), atol=6e-3, rtol=0)
    assert found[128].argmax() in (99, 100)
    assert found.max() == pytest.approx(1, abs=0.02)
    assert found[:, :80].max() < 1e-4


def test_the_boundary_of_a_map_is_that_of_its_complement():
    maps = torch.zeros(2, 1, 64, 64)
    maps[0, :, 10:40, 20:50] = 1
    maps[1] = torch.rand(1, 64, 64)
    torch.testing.assert_close(boundary(maps), boundary(1 - maps))


def test_soft_maps_are_not_blurred_and_enlarged_binary_ones_are():
    ramp = torch.linspace(-1, 2, 64).clamp(0, 1).expand(1, 1, 64, 64)
    torch.testing.assert_close(boundary(ramp), 4 * ramp * (1 - ramp))
    enlarged = step_map(64, 30)
    enlarged[..., 30] = 0.6  # one column between, by interpolation
    assert ((boundary(enlarged) > 0.1).sum(dim=-1) >= 3).all()


def test_no_boundary_where_nothing_or_all_is_forged_or_at_the_border():
    assert boundary(torch.zeros(1, 1, 64, 64)).max() == 0
    assert boundary(torch.ones(1, 1, 64, 64)).max() < 1e-5
    face = torch.zeros(1, 1, 64, 64)
    face[..., 20:, 16:48] = 1  # a rectangle that is cut by the lower border
    found = boundary(face)[0, 0]
    assert found[-1, 24:40].max() < 1e-4
    assert found[40, 16] > 0.8
    torch.testing.assert_close(found[-1], found[50])


def test_filling_a_boundary_gives_the_area_and_its_edge():
    maps = torch.zeros(2, 1, 64, 64)
    maps[0, :, 16:48, 16:48] = 1
    maps[1, :, :, 32:] = 1  # encloses nothing
    found = fill(boundary(maps))
    assert set(found.unique().tolist()) == {0, 1}
    assert (found[0] >= maps[0]).all()
    assert found[0].sum() <= 36**2
    assert torch.equal(found[1, 0], (boundary(maps)[1, 0] > 0.5).float())
    assert build(map="fill").predict(torch.zeros(1, 3, 64, 64)).maps.shape == (1, 1, 64, 64)


def test_the_class_comes_from_the_xray_alone_and_more_of_it_is_fake(network):
    xrays = torch.zeros(2, 1, 64, 64)
    xrays[1, :, 20, 20:30] = 0.8
    seen = network._describe(xrays)
    torch.testing.assert_close(seen, torch.tensor([[0, 0], [8 / 64**2, 0.8]]))
    scores = network.classifier(seen).softmax(dim=1)[:, 1]
    assert scores[0] < 0.5 < scores[1]
    deep = build(head="mlp")
    assert deep.classifier(deep._describe(xrays)).shape == (2, 2)


def test_losses_by_hand(network, batch):
    logits, xray = network(batch.images)
    chance, truth = xray.sigmoid(), boundary(batch.maps)
    entropy = -(truth * chance.log() + (1 - truth) * (1 - chance).log())
    terms = network.loss(batch)
    torch.testing.assert_close(terms["xray"], 100 * entropy.mean())
    own = logits.log_softmax(dim=1)[torch.arange(8), batch.labels]
    torch.testing.assert_close(terms["classification"], -own.mean())
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}
    with torch.no_grad():
        torch.testing.assert_close(network.predict(batch.images).maps, chance)


def test_a_pretrained_backbone_is_frozen_for_a_quarter_of_the_steps(batch):
    network = build().train()
    network.backbone.is_pretrained = True
    network.begin(8)
    weight = next(network.backbone.parameters())
    reached = []
    for _ in range(4):
        network.zero_grad(set_to_none=True)
        sum(network.loss(batch).values()).backward()
        reached.append(weight.grad is not None)
        assert network.xray[0].weight.grad.abs().max() > 0
    assert reached == [False, False, True, True]
    resumed = build()  # the count is a state that a stopped run must keep
    resumed.load_state_dict(network.state_dict())
    assert (resumed.step, resumed.thaw) == (4, 2)


def test_a_random_backbone_is_trained_from_the_start(batch):
    network = build().train()
    network.begin(8)
    sum(network.loss(batch).values()).backward()
    assert next(network.backbone.parameters()).grad is not None


@pytest.mark.parametrize(
    "change",
    [{"image_size": 32}, {"frozen_share": 1.0}, {"map_weight": -1.0}, {"head": "x"}, {"map": "x"}],
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        FaceXrayConfig(**change)
