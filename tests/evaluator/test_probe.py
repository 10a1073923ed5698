from __future__ import annotations

import pytest
import torch

from evaluator.probe import Probe, ProbeConfig
from focus.errors import InputError
from focus.types import Batch

SMALL = ProbeConfig("resnet10t", "none", image_size=64, channels=16)


def faces(count: int, maps: bool = True, size: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    truth = torch.zeros(count, 1, size, size)
    truth[labels == 1, :, 16:48, 8:40] = 1
    images = torch.randn(count, 3, size, size, generator=generator) * 0.1 + truth
    keys = tuple(map(str, range(count)))
    return Batch(images, labels, truth if maps else None, keys, torch.arange(count))


def test_sizes_match_the_specification():
    probe = Probe(ProbeConfig(encoder_weights="none"))
    encoder = sum(p.numel() for p in probe.encoder.parameters())
    whole = sum(p.numel() for p in probe.parameters())
    assert encoder == pytest.approx(17.6e6, rel=0.01)
    assert whole - encoder == pytest.approx(3.1e6, rel=0.02)
    with torch.no_grad():
        prediction = probe.eval().predict(torch.zeros(1, 3, 224, 224))
    assert prediction.maps is not None
    assert prediction.maps.shape == (1, 1, 56, 56)


def test_the_loss_is_cross_entropy_and_a_tenth_of_the_maps():
    probe = Probe(SMALL).eval()
    batch = faces(4)
    logits, drawn = probe(batch.images)
    terms = probe.loss(batch)
    target = torch.nn.functional.avg_pool2d(
        batch.maps, 4
    )  # edges of the box coincide with cell edges
    chance = drawn.sigmoid()
    by_hand = -(target * chance.log() + (1 - target) * (1 - chance).log()).mean()
    assert terms["map"].item() == pytest.approx(0.1 * by_hand.item(), rel=0.02)
    right = logits.softmax(1)[torch.arange(4), batch.labels]
    assert terms["classification"].item() == pytest.approx(-right.log().mean().item(), rel=1e-5)
    assert set(probe.loss(faces(4, maps=False))) == {"classification"}


def test_an_encoder_without_four_levels_is_refused():
    with pytest.raises(InputError, match="vit_tiny_patch16_224"):
        Probe(ProbeConfig("vit_tiny_patch16_224", "none"))


def test_weights_come_from_a_file(tmp_path):
    probe = Probe(ProbeConfig(encoder_weights="none"))
    path = tmp_path / "b4.pth"
    state = probe.encoder.body.state_dict()
    torch.save(
        {**state, "_fc.weight": torch.zeros(1000, 1792), "_fc.bias": torch.zeros(1000)}, path
    )
    again = Probe(ProbeConfig(encoder_weights=str(path)))
    name, value = next(iter(state.items()))
    assert torch.equal(again.encoder.body.state_dict()[name], value)
    state.pop(name)
    torch.save(state, path)
    with pytest.raises(InputError, match=f"lacks {name}"):
        Probe(ProbeConfig(encoder_weights=str(path)))
