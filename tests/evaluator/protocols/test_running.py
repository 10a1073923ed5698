"""A small table run to completion."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from evaluator.protocols import (
    Protocol,
    Step,
    plan,
    run_protocol,
)
from evaluator.protocols import running as protocol_running
from evaluator.protocols.records import Column, Faces, Maps, Network, Row, numbers
from focus.data.index import Face, FaceIndex
from focus.detectors import DETECTORS
from focus.errors import CheckFailedError, InputError
from focus.types import InputSpec, Prediction
from plugins import Detector, OptimizerConfig


@dataclass(frozen=True)
class TinyConfig:
    """No settings."""

    width: int = 4
    """Channels."""


class Tiny(Detector[TinyConfig]):
    """Trains for three steps; the result does not matter."""

    input_spec = InputSpec(image_size=16)
    optimizer = OptimizerConfig("adam", lr=1e-2)
    steps = 3
    batch = 4

    def __init__(self, config: TinyConfig = TinyConfig()):
        super().__init__()
        self.body = nn.Conv2d(3, config.width, 3, padding=1)
        self.draw = nn.Conv2d(config.width, 1, 1)

    def loss(self, batch):
        return {
            "label": F.binary_cross_entropy_with_logits(self(batch.images)[0], batch.labels.float())
        }

    def forward(self, images):
        drawn = self.draw(self.body(images).relu())
        return drawn.mean(dim=(1, 2, 3)), drawn

    def predict(self, images):
        scores, maps = self(images)
        return Prediction(scores.sigmoid().float(), torch.sigmoid(maps).float())


@pytest.fixture
def small(tmp_path):
    """A root with two corpora of prepared faces, and a table over them."""
    generator = np.random.default_rng(0)
    for corpus in ("ffpp-c23", "cdf"):
        root, faces = tmp_path / "data" / corpus, []
        root.mkdir(parents=True)
        for split in ("train", "val", "test"):
            for number in range(8):
                name, fake = f"{split}{number}.png", number % 2
                cv2.imwrite(str(root / name), generator.integers(0, 256, (16, 16, 3), np.uint8))
                more = {"mask": "mask.png", "original": f"{split}0.png", "method": "Deepfakes"}
                faces.append(Face(name, fake, split, video=name, **(more if fake else {})))
        cv2.imwrite(str(root / "mask.png"), np.full((16, 16), 255, np.uint8))
        FaceIndex.of(faces, root).write(root / "index.csv")
    train, cdf = Faces("train", "ffpp", "c23", ("Deepfakes",)), Faces("cdf", "cdf")
    columns = (
        Column("own", "frame_auc"),
        Column("other", "frame_auc", cdf),
    )
    own = Network("tiny")
    rows = (
        Row("printed", numbers("1 2")),
        Row("learnt", numbers("50 -"), "tiny", Maps("tiny", own), train=train),
        Row("itself", numbers("50 60"), network=own, train=train),
    )
    table = Protocol("small", "a test", "Table 0 of nothing", columns, rows)
    with DETECTORS.temporarily("tiny", Tiny):
        yield table


@pytest.fixture
def wired(small, monkeypatch):
    """The registered table, and a record of executed commands."""
    monkeypatch.setattr(protocol_running, "get_protocol", lambda name: small)
    called, real = [], Step.run

    def run(step, runtime, resume):
        called.append(step.words[:2])
        real(step, runtime, resume)

    monkeypatch.setattr(Step, "run", run)
    return called


def test_a_table_from_root_to_comparison_and_again(wired, tmp_path, capsys):
    root, out = tmp_path / "data", tmp_path / "out"
    run_protocol("small", root, out, quiet=True)
    text = capsys.readouterr().out
    assert "a test\nTable 0 of nothing" in text
    rows = list(csv.DictReader((out / "small.csv").open()))
    ours = {(row["row"], row["column"]): row["ours"] for row in rows}
    assert ours["printed", "own"] == ""
    for label in ("learnt", "itself"):
        for column in ("own", "other"):
            assert 0 <= float(ours[label, column]) <= 100
    assert [word for _, word in wired].count("train") == 1
    done = len(wired)
    run_protocol("small", root, out, quiet=True)
    assert len(wired) == done
    (out / "results" / "tiny-train" / "cdf.json").unlink()
    run_protocol("small", root, out, quiet=True)
    assert wired[done:] == [("evaluator", "score")]


def test_it_stops_at_a_failed_step_and_resumes_there(wired, tmp_path):
    root, out = tmp_path / "data", tmp_path / "out"
    index = FaceIndex.read(root / "ffpp-c23" / "index.csv")
    keep = np.array([split != "val" for split in index.column("split")])
    index.take(keep).write(root / "ffpp-c23" / "index.csv")
    with pytest.raises(CheckFailedError, match=r"step 2 of .*no 'val' rows"):
        run_protocol("small", root, out, quiet=True)
    assert wired == [("focus", "index"), ("focus", "train")]
    with pytest.raises(CheckFailedError, match="step 2"):
        run_protocol("small", root, out, quiet=True)
    assert wired[2:] == [("focus", "train")]


def test_an_output_of_another_command_is_not_done(small, tmp_path):
    root, out = tmp_path / "data", tmp_path / "out"
    first = plan(small, root, out).steps[0]
    first.output.parent.mkdir(parents=True)
    first.output.touch()
    assert not plan(small, root, out).steps[0].done
    journal = {
        "lists/train.csv": " ".join(first.words).replace(str(out), "OUT").replace(str(root), "ROOT")
    }
    (out / "steps.json").write_text(json.dumps(journal))
    assert plan(small, root, out).steps[0].done
    other = replace(
        small,
        rows=tuple(replace(r, train=r.train and replace(r.train, methods=())) for r in small.rows),
    )
    assert not plan(other, root, out).steps[0].done
    (out / "steps.json").write_text("{")
    with pytest.raises(InputError, match=r"steps\.json: cannot be read"):
        plan(small, root, out)
