"""Features of a network that can be computed by hand, and their t-SNE."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from evaluator.embedding import (
    EmbedCommand,
    draw_places,
    embed_command,
    extract_features,
    lay_out,
    name_groups,
    spread_evenly,
)
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.detectors import DETECTORS, Trainable
from focus.errors import CheckFailedError, InputError
from focus.runs import describe_run, save_weights
from focus.runtime import Runtime
from focus.types import InputSpec, Prediction

SIDE = 8
QUIET = Runtime(device="cpu", quiet=True)


@dataclass(frozen=True)
class TinyConfig:
    head: str = "module"


class Tiny(Trainable):
    """Channel means by an identity 1 x 1 convolution, and a classifier."""

    input_spec = InputSpec(SIDE)

    def __init__(self, config: TinyConfig = TinyConfig()) -> None:
        super().__init__()
        self.config = config
        self.planes = nn.Conv2d(3, 3, 1, bias=False)
        self.planes.weight.data = torch.eye(3)[:, :, None, None]
        self.head = nn.Linear(3, 2)
        self.after = nn.Linear(2, 5)

    def loss(self, batch):
        return {}

    def predict(self, images):
        means = self.planes(images).mean(dim=(2, 3))
        if self.config.head == "none":
            return Prediction(means.sigmoid()[:, 0], None)
        called = self.config.head == "call"
        logits = F.linear(means, self.head.weight) if called else self.head(means)
        self.after(logits)  # the last layer, but not a real/fake classifier
        return Prediction(logits.softmax(dim=1)[:, 1], None)


@pytest.fixture
def corpus(tmp_path):
    """Dark real faces and bright fakes of two methods, in a folder with an index."""
    generator = np.random.default_rng(0)
    faces = []
    for number in range(30):
        fake = number % 2
        image = generator.integers(180 * fake, 180 * fake + 40, (SIDE, SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        method = ("$swap$", "blend")[number // 2 % 2] if fake else ""
        faces.append(Face(f"{number}.png", fake, "val", method))
    index = FaceIndex.of(faces, tmp_path)
    index.write(tmp_path / "index.csv")
    return index


@pytest.fixture
def run(tmp_path):
    with DETECTORS.temporarily("tiny", Tiny):
        folder = tmp_path / "run"
        folder.mkdir()
        save_weights(Tiny(), folder / "best.safetensors")
        (folder / "config.json").write_text(json.dumps(describe_run("tiny", TinyConfig())))
        yield folder


def channel_means(index):
    return np.array(
        [cv2.imread(str(index.root / key))[..., ::-1].mean(axis=(0, 1)) / 255 for key in index.keys]
    )


@pytest.mark.parametrize("head", ["module", "call"])
def test_features_are_the_input_of_the_classifier(corpus, head):
    found, failures = extract_features(Tiny(TinyConfig(head)), corpus, runtime=QUIET, batch=7)
    assert not failures
    assert found == pytest.approx(channel_means(corpus), abs=1e-5)


def test_features_of_a_named_layer_are_averaged_over_space(corpus):
    found, _ = extract_features(Tiny(), corpus, "planes", QUIET)
    assert found == pytest.approx(channel_means(corpus), abs=1e-5)
    assert extract_features(Tiny(), corpus, "after", QUIET)[0].shape == (30, 5)
    with pytest.raises(InputError, match="--layer plane: no such module; near: planes"):
        extract_features(Tiny(), corpus, "plane", QUIET)
    with pytest.raises(InputError, match="--layer head: does not run"):
        extract_features(Tiny(TinyConfig("none")), corpus, "head", QUIET)
    with pytest.raises(InputError, match="--layer is missing"):
        extract_features(Tiny(TinyConfig("none")), corpus, runtime=QUIET)


def test_the_layout_separates_clusters_and_is_deterministic():
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = generator.normal(size=(90, 70)) + 12 * np.eye(3, 70)[labels]
    places = lay_out(features, 10, seed=3)
    assert places.shape == (90, 2)
    assert KNeighborsClassifier(3).fit(places, labels).score(places, labels) > 0.95
    assert (lay_out(features, 10, seed=3) == places).all()
    assert lay_out(features[:5]).shape == (5, 2)
    assert np.isfinite(lay_out(np.ones((6, 1), dtype=np.float32))).all()


def test_the_command_writes_csv_and_png(corpus, run, tmp_path, capsys):
    (corpus.root / "4.png").write_bytes(b"not an image")
    out = tmp_path / "new" / "out"
    source = Source(str(corpus.root / "index.csv"))
    command = EmbedCommand(weights=str(run), source=source, out=out, workers=0, runtime=QUIET)
    with pytest.raises(CheckFailedError, match=r"1 face could not be read.*4\.png"):
        embed_command(command)
    with (out / "embedding.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["key", "label", "method", "split", "x", "y"]
    assert [row["key"] for row in rows] == [key for key in corpus.keys if key != "4.png"]
    places = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    labels = [row["label"] for row in rows]
    assert KNeighborsClassifier(3).fit(places, labels).score(places, labels) > 0.95
    assert cv2.imread(str(out / "embedding.png")).shape == (1200, 1600, 3)
    assert "29 faces" in capsys.readouterr().out


def test_the_plot_accepts_any_name_and_many_groups(tmp_path):
    places = np.random.default_rng(0).normal(size=(120, 2))
    names = ["real", "$x$ & <b>", *(f"method {number}" for number in range(38))]
    draw_places(tmp_path / "a.png", places, [names[k % 40] for k in range(120)], "$title")
    assert cv2.imread(str(tmp_path / "a.png")) is not None


def test_groups_and_the_sample(corpus):
    assert set(name_groups(corpus, "method")) == {"real", "$swap$", "blend"}
    assert set(name_groups(corpus, "label")) == {"real", "fake"}
    assert list(spread_evenly(corpus, 3).keys) == ["0.png", "14.png", "29.png"]
    assert len(spread_evenly(corpus, 0)) == len(spread_evenly(corpus, 100)) == 30


def test_errors_are_specific(run):
    with pytest.raises(InputError, match="--weights is missing"):
        EmbedCommand()
    with pytest.raises(InputError, match="--sample 3"):
        EmbedCommand(weights="x", sample=3)
    with pytest.raises(InputError, match="is a tiny run, not a focus run"):
        embed_command(EmbedCommand("focus", str(run)))
