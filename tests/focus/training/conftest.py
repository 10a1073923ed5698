"""A tiny world: plain grey faces whose splits differ, and a network of two parameters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from focus.data.index import Face, FaceIndex
from focus.detectors import DETECTORS, Trainable
from focus.optim import OptimizerConfig
from focus.runs import RunFolder
from focus.runtime import Runtime
from focus.training.options import FitConfig
from focus.training.trainer import Training, train_run
from focus.types import InputSpec, Prediction

GREYS = {
    ("train", 0): [0] * 8,
    ("train", 1): [51, 102, 153, 204, 255, 77, 128, 179],
    ("val", 0): [
        200,
        210,
    ],  # brighter: the rule learnt on train is wrong here
    ("val", 1): [20, 30],
    ("test", 0): [90, 91],
    ("test", 1): [90, 91],
}
SGD = OptimizerConfig("sgd", lr=1.0, betas=(0.0, 0.0), schedule="constant")


@dataclass(frozen=True)
class LineConfig:
    """Settings of :class:`Line`."""

    task: str = "labels"
    """labels: cross-entropy; rise: w rises by the rate in every step; noise: by a random share."""


class Line(Trainable):
    """P(fake) = sigmoid(w x + b) of the mean x of a face; records its calls."""

    input_spec = InputSpec(image_size=8)
    optimizer, steps, batch = SGD, 3, 4
    seen: ClassVar[dict[str, list]] = {}

    def __init__(self, config: LineConfig = LineConfig()) -> None:
        super().__init__()
        self.task = config.task
        self.w, self.b = (torch.nn.Parameter(torch.zeros(())) for _ in "wb")
        self.register_buffer("start", torch.rand(()))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("fakes", torch.zeros(()))

    def _logits(self, images):
        precision = torch.get_autocast_dtype("cpu")
        state = (self.training, torch.is_autocast_enabled("cpu"), precision)
        self.seen.setdefault("loss" if torch.is_grad_enabled() else "predict", []).append(state)
        return self.w * images.mean(dim=(1, 2, 3)) + self.b

    def loss(self, batch):
        logits = self._logits(batch.images)
        if self.task == "labels":
            return {"c": binary_cross_entropy_with_logits(logits, batch.labels.float())}
        return {"c": -self.w * (torch.rand(()) if self.task == "noise" else 1)}

    def predict(self, images):
        return Prediction(torch.sigmoid(self._logits(images)), None)

    def calibrate(self, images):
        self.mean += images.mean()

    def finish(self, batches):
        self.seen["finish"] = [self.training, self.w.item()]
        self.fakes += sum(batch.images.mean(dim=(1, 2, 3)).sum().item() for batch in batches)


@dataclass
class World:
    """The faces, and a way to train a Line on them."""

    index: FaceIndex
    folder: Path
    reports: list = field(default_factory=list)
    greys = GREYS
    sgd = SGD
    detector = Line

    def train(self, name="run", task="labels", seed=0, precision="fp32", **fit):
        """Train and return the tensors (best, last) as numbers."""
        from safetensors.torch import load_file

        config = FitConfig(**{"optimizer": SGD, "workers": 0, "validate_every": 1, **fit})
        training = Training(
            "line",
            LineConfig(task),
            self.index.where("train"),
            self.index.where("val"),
            config,
            Runtime(device="cpu", seed=seed, precision=precision, quiet=True),
        )
        Line.seen = {}
        run = self.folder / name
        report = train_run(training, run, {"fingerprint": "f"}, resume=False)
        self.reports.append(report)
        files = RunFolder(run)
        return tuple(
            {k: v.item() for k, v in load_file(path).items()} for path in (files.best, files.last)
        )


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Return the tiny world, its detector registered as ``line``; no curve is plotted."""
    monkeypatch.setattr("focus.training.journal.draw_curve", lambda *_: None)
    faces = []
    for (split, label), greys in GREYS.items():
        for number, grey in enumerate(greys):
            path = f"{split}-{label}-{number}.png"
            cv2.imwrite(str(tmp_path / path), np.full((8, 8, 3), grey, np.uint8))
            faces.append(Face(path, label, split))
    with DETECTORS.temporarily("line", Line):
        yield World(FaceIndex.of(faces, tmp_path), tmp_path)
