"""Conformance checks: a correct detector, broken ones, and every built-in one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from plugins import Detector, InputSpec, Prediction, get, names
from plugins.conformance import CHECKS, check_detector
from tests.plugins.small_detectors import SMALL
from tests.test_learning_by_heart import TRAININGS


@dataclass(frozen=True)
class TinyConfig:
    image_size: int = 32


class Tiny(Detector[TinyConfig]):
    """A correct detector; each test below breaks one property."""

    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__()
        self.input_spec = InputSpec(config.image_size)
        self.body = nn.Sequential(nn.Conv2d(3, 64, 4, 4), nn.BatchNorm2d(64), nn.ReLU())
        self.cells, self.label = nn.Conv2d(64, 1, 1), nn.Linear(64, 2)

    def forward(self, images):
        found = self.body(images)
        return self.label(found.amax(dim=(2, 3))).float(), self.cells(found).float()

    def loss(self, batch):
        logits, drawn = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            target = F.adaptive_avg_pool2d(batch.maps, drawn.shape[-2:])
            terms["map"] = F.binary_cross_entropy_with_logits(drawn, target)
        return terms

    def predict(self, images):
        logits, drawn = self(images)
        return Prediction(logits.softmax(1)[:, 1], drawn.sigmoid())


class Unbounded(Tiny):
    def predict(self, images):
        logits, drawn = self(images)
        return Prediction(logits[:, 1] * 9, drawn)


class WrongShape(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps[:, 0])


class Idle(Tiny):
    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__(config)
        self.unused = nn.Linear(2, 2)


class OneClass(Tiny):
    def loss(self, batch):
        return {"ratio": super().loss(batch)["classification"] / (batch.labels == 1).float().mean()}


class RootOfMap(Tiny):
    """Its loss is finite, its gradient is not where the map is empty or full."""

    def loss(self, batch):
        terms = super().loss(batch)
        if batch.maps is not None:
            spread = (self.cells.weight * batch.maps.std(dim=(1, 2, 3)).sum()).square().sum()
            terms["spread"] = spread.sqrt() * 1e-3
        return terms


class NeedsMaps(Tiny):
    def loss(self, batch):
        return {**super().loss(batch), "area": batch.maps.mean() * 0 + self.cells.bias.sum() ** 2}


class Dice(Tiny):
    calls = 0

    def loss(self, batch):
        Dice.calls += 1
        return {name: term * Dice.calls for name, term in super().loss(batch).items()}


class Forgetful(Tiny):
    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__(config)
        self.offset = torch.rand(())

    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction((scores + self.offset) / 2, maps)


class Stuck(Tiny):
    def loss(self, batch):
        return {name: term * 1e-6 + 1 for name, term in super().loss(batch).items()}


class Device(Tiny):
    def predict(self, images):
        return super().predict(images.to("cpu"))


class RealScore(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(1 - scores, maps)


class RealMap(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, 1 - maps)


class Mirrored(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps.flip(-1))


class UpsideDown(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps.flip(-2))


class Turned(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps.flip(-2, -1))


class Transposed(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps.mT)


class Even(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, torch.full_like(maps, 0.5))


class Unsupervised(Tiny):
    def loss(self, batch):
        logits, drawn = self(batch.images)
        energy = 1e-6 * drawn.square().mean()  # so that every parameter learns
        return {"classification": F.cross_entropy(logits, batch.labels) + energy}


class LostMap(Tiny):
    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__(config)
        self.scale = torch.rand(())

    def predict(self, images):
        scores, maps, _ = super().predict(images)
        return Prediction(scores, maps * self.scale)


class Contagious(Tiny):
    def predict(self, images):
        scores, maps, _ = super().predict(images * images.std() / images.mean())
        return Prediction((scores + scores.argsort() / len(scores)) / 2, maps)


def run(detector, check):
    """Return the finding of one check."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(CHECKS) - {check}:
            patch.delitem(CHECKS, name)
        (finding,) = check_detector(detector)
    return finding


def test_a_sound_detector_passes_all():
    # This file names a device, on purpose, in another class.
    found = {f.check: f for f in check_detector(Tiny)}
    assert set(found) == set(CHECKS)
    wrong = {name: f.detail for name, f in found.items() if not f.passed}
    assert set(wrong) <= {"device literals"}, wrong


@pytest.mark.parametrize(
    ("detector", "check", "said"),
    [
        (Unbounded, "predictions", "not in"),
        (WrongShape, "predictions", "shape"),
        (Contagious, "predictions", "other faces"),
        (Idle, "gradients", "unused"),
        (OneClass, "one-class batches", "inf"),
        (NeedsMaps, "one-class batches", "NoneType"),
        (RootOfMap, "extreme maps", "the gradient of cells.weight is not finite"),
        (Dice, "determinism", "one seed"),
        (Forgetful, "save and load", "state"),
        (Stuck, "overfit", "the loss only went"),
        (Device, "device literals", "'cpu'"),
        (LostMap, "save and load", "maps differ"),
        (RealScore, "overfit", "is the score P(fake)"),
        (RealMap, "overfit", "1 is forged"),
        (Even, "overfit", "1 is forged"),
        (Mirrored, "overfit", "mirrored"),
        (UpsideDown, "overfit", "upside down"),
        (Turned, "overfit", "turned"),
        (Transposed, "overfit", "transposed"),
    ],
)
def test_each_breach_is_found(detector, check, said):
    finding = run(detector, check)
    assert not finding.passed
    assert said in finding.detail


def test_maps_that_nothing_supervises_may_lie_anywhere():
    finding = run(Unsupervised, "overfit")
    assert finding.passed, finding.detail
    assert "maps" not in finding.detail


def name_of(variant):
    """Return the detector of a variant such as patches-max; a detector's name may have a dash."""
    return max((name for name in names() if f"{variant}-".startswith(f"{name}-")), key=len)


def test_every_detector_is_here():
    assert {name_of(variant) for variant in SMALL} == set(names())


FAST_LEARNERS = {
    "caddm": 8,
    "caddm-mfs": 8,
    "gffd": 5,
    "madd": 8,
    "monfap": 6,
    "sladd-head": 10,
    "telltales": 10,
}
"""Large networks, and the steps in which they overfit."""


@pytest.mark.parametrize("variant", SMALL)
def test_it_keeps_the_contract(variant, monkeypatch):
    if variant == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    if variant in FAST_LEARNERS:
        monkeypatch.setattr("plugins.conformance.OVERFIT_STEPS", FAST_LEARNERS[variant])
    if variant in TRAININGS and not TRAININGS[variant].options:
        # At these settings, tests/test_learning_by_heart.py expects more of it.
        monkeypatch.delitem(CHECKS, "overfit")
    monkeypatch.delitem(CHECKS, "two processes")  # the same for all, and half of the time
    found = {
        finding.check: finding for finding in check_detector(get(name_of(variant)), SMALL[variant])
    }
    assert set(found) == set(CHECKS)
    assert {name: f.detail for name, f in found.items() if not f.passed} == {}
