"""Small networks and runs whose maps are compared with formulas."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import nn

from focus.detectors import Trainable
from focus.runs import describe_run, save_weights
from focus.types import InputSpec, Prediction

SIDE = 64
VIT = "test_vit"
VIT_OPTIONS = {"encoder": VIT, "image_size": str(SIDE)}


def write_run(folder, kind, network, config):
    folder.mkdir()
    save_weights(network, folder / "best.safetensors")
    (folder / "config.json").write_text(json.dumps(describe_run(kind, config)))
    return folder


def enlarge(model, factor=3.0):
    """Make random weights differ enough for attention and gradients to do so."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(factor)
    return model.eval()


def predict(generator, images):
    with torch.no_grad():
        return generator.predict(images)


def stretch(cam):
    low, high = (getattr(cam.flatten(1), f)(dim=1)[:, None, None] for f in ("amin", "amax"))
    return (cam - low) / (high - low)


@dataclass(frozen=True)
class LinearConfig:
    planes: int = 2


class Linear(Trainable):
    """Two planes, rectified copies of the first channels, and a weight for every position."""

    input_spec = InputSpec(image_size=2)

    def __init__(self, config: LinearConfig = LinearConfig()) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, config.planes, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.weights = nn.Parameter(torch.zeros(2, config.planes, 2, 2))
        with torch.no_grad():
            self.features.weight.copy_(torch.eye(config.planes, 3)[:, :, None, None])

    def loss(self, batch):
        raise NotImplementedError

    def predict(self, images):
        planes = self.relu(self.features(images))
        logits = torch.einsum("bkhw,ckhw->bc", planes, self.weights)
        return Prediction(logits.softmax(dim=1)[:, 1], None)


class Conv(Trainable):
    """A small convolutional network."""

    input_spec = InputSpec(image_size=16)

    def __init__(self, config: LinearConfig = LinearConfig()) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, stride=4, padding=1)
        self.second = nn.Conv2d(5, 6, 3, padding=1)
        self.head = nn.Linear(6, 2)

    def loss(self, batch):
        raise NotImplementedError

    def logits(self, images):
        return self.head(self.second(self.first(images).tanh()).relu().mean(dim=(2, 3)))

    def predict(self, images):
        return Prediction(self.logits(images).softmax(dim=1)[:, 1], None)
