"""Distributions of strangers, made of the documents' own text, installed and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from focus.mapstore import MapReader
from tests.shared import call_lines

ROOT = Path(__file__).parent.parent
BROKEN = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "broken"
version = "0.1"

[project.entry-points."focus.generators"]
broken = "broken_generator:Maps"

[project.entry-points."focus.detectors"]
broken-detector = "broken_generator:Net"

[tool.setuptools]
py-modules = ["broken_generator"]
"""

GUARD = """
import builtins

_import = builtins.__import__


def _import_plugins_only(name, scope=None, *rest, **more):
    if name.partition(".")[0] == "focus" and scope and scope.get("__name__") == __name__:
        raise ImportError(f"{__name__} imports {name}")
    return _import(name, scope, *rest, **more)


builtins.__import__ = _import_plugins_only
"""
BACKBONE = """
from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from plugins import (
    FAKE, Detector, InputError, InputSpec, Prediction, check_options, create_backbone, minmax,
    resize_maps,
)
from plugins.targets import harden


@dataclass(frozen=True)
class Config:
    image_size: int = 64
    encoder: str = "resnet10t"
    encoder_weights: str = "timm"

    def __post_init__(self):
        check_options(self, "image_size", least=32)
        if "vit" in self.encoder:
            raise InputError("--options encoder: use a convolutional network")


class Net(Detector[Config]):
    normalisation = "image_minmax"

    def __init__(self, config=Config()):
        super().__init__()
        self.input_spec = InputSpec(config.image_size)
        self.body = create_backbone(
            config.encoder, config.encoder_weights, features_only=True, out_indices=(1,)
        )
        width = self.body.feature_info.channels()[0]
        self.cells, self.label = nn.Conv2d(width, 1, 1), nn.Linear(width, 2)

    def forward(self, images):
        (features,) = self.body(images)
        return self.label(features.mean(dim=(2, 3))).float(), self.cells(features).float()

    def loss(self, batch):
        logits, drawn = self(batch.images)
        terms = {"classification": F.cross_entropy(logits, batch.labels)}
        if batch.maps is not None:
            truth = harden(resize_maps(batch.maps, drawn.shape[-2:]))
            terms["map"] = F.binary_cross_entropy_with_logits(drawn, truth)
        return terms

    def predict(self, images):
        logits, drawn = self(images)
        return Prediction(logits.softmax(dim=1)[:, FAKE], minmax(drawn))
"""
TRESPASSER = """
import torch
from plugins import Detector
from focus.types import Batch
"""


def describe(name: str, detector: str) -> str:
    """Return the pyproject.toml of one module with one detector."""
    text = BROKEN.split("[project.entry-points")[0].replace("broken", name)
    entry = f'[project.entry-points."focus.detectors"]\n{name} = "{name}:{detector}"\n'
    return f'{text}{entry}\n[tool.setuptools]\npy-modules = ["{name}"]\n'


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Install distributions into one folder; return the environment that sees it."""
    folder, site = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("site")
    sources = {
        "patchnet": (
            blocks("your-own-detector.md", "toml"),
            [GUARD + module for module in blocks("your-own-detector.md", "python")],
        ),
        "backbone": ([describe("backbone", "Net")], [GUARD + BACKBONE]),
        "trespasser": ([describe("trespasser", "Net")], [GUARD + TRESPASSER]),
        "edgemaps": (
            blocks("your-own-generator.md", "toml"),
            blocks("your-own-generator.md", "python"),
        ),
        "broken_generator": ([BROKEN], ["import a_package_that_nobody_has\n"]),
    }
    for name, ((project,), (module,)) in sources.items():
        (folder / name).mkdir()
        (folder / name / "pyproject.toml").write_text(project)
        (folder / name / f"{name}.py").write_text(module)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(site)]
    subprocess.run([*install, *(str(folder / name) for name in sources)], check=True)
    path = os.pathsep.join([str(site), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def test_the_template_is_short():
    (detector,) = blocks("your-own-detector.md", "python")
    (generator,) = blocks("your-own-generator.md", "python")
    assert len([line for line in detector.splitlines() if line.strip()]) <= 48
    assert len([line for line in generator.splitlines() if line.strip()]) <= 30


def test_a_strangers_generator_makes_a_map_file_and_a_broken_one_harms_nobody(
    strangers, demo_corpus, tmp_path
):
    out = tmp_path / "edges.h5"
    generate = ["focus", "generate", "--data", demo_corpus, "--method"]
    made, models, used, unknown = call_lines(
        [*generate, "edges", "--out", out],
        ["evaluator", "models", "--json", "-"],
        [*generate, "broken", "--out", tmp_path / "x.h5"],
        [*generate, "edgse"],
        env=strangers,
    )
    assert made.returncode == 0, made.stderr
    with MapReader(out) as reader:
        assert len(reader) == 40
        assert reader.attributes["generator"] == "edges"
        assert reader.shape == (14, 14)
        fakes = reader.read(reader.labels.nonzero()[0])
        assert fakes.any()
        assert not reader.read((reader.labels == 0).nonzero()[0]).any()
    assert models.returncode == 0, models.stderr
    listed = {(entry["name"], entry["kind"]): entry for entry in json.loads(models.stdout)}
    assert "a_package_that_nobody_has" in listed["broken", "generator"]["error"]
    assert "a_package_that_nobody_has" in listed["broken-detector", "detector"]["error"]
    assert listed["edges", "generator"]["distribution"] == "edgemaps"
    broken = {name for (name, _), entry in listed.items() if entry["error"]}
    assert broken == {"broken", "broken-detector", "trespasser"}
    assert "trespasser imports focus.types" in listed["trespasser", "detector"]["error"]
    assert used.returncode == 2
    assert "broken" in used.stderr
    assert used.stderr.count("\n") == 1
    assert "perhaps edges?" in unknown.stderr


def test_a_strangers_detector_from_nothing_to_a_table(strangers, demo_corpus, tmp_path):
    run, out = tmp_path / "run", tmp_path / "patchnet.h5"
    small = "--options image_size=64"
    short = f"{small} --steps 4 --batch 8 --draws 20 --workers 0 --data {demo_corpus}"
    lines = (
        f"evaluator check patchnet {small}",
        f"evaluator run --model patchnet --maps truth --out {run} {short}",
        f"evaluator table {run}",
        f"focus generate --method patchnet --data {demo_corpus} --weights {run}/seed-0 --out {out}",
        "evaluator check backbone",
    )
    ends = call_lines(*map(str.split, lines), env=strangers)
    for line, end in zip(lines, ends, strict=True):
        assert end.returncode == 0, (line, end.stdout, end.stderr)
    assert "frame_auc" in ends[2].stdout
    with MapReader(out) as reader:
        assert reader.shape == (8, 8)
