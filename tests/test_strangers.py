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


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Install three distributions into one folder; return the environment that sees it."""
    folder, site = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("site")
    sources = {
        "patchnet": (
            blocks("your-own-detector.md", "toml"),
            blocks("your-own-detector.md", "python"),
        ),
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


def call(environment, command, *words):
    """Run a command line, its words split at spaces, and further words as they are."""
    whole = [sys.executable, "-m", *command.split(), *map(str, words)]
    return subprocess.run(whole, env=environment, capture_output=True, text=True)


def test_the_template_is_short():
    (detector,) = blocks("your-own-detector.md", "python")
    (generator,) = blocks("your-own-generator.md", "python")
    assert len([line for line in detector.splitlines() if line.strip()]) <= 48
    assert len([line for line in generator.splitlines() if line.strip()]) <= 30


def test_a_strangers_generator_makes_a_map_file(strangers, demo_corpus, tmp_path):
    out = tmp_path / "edges.h5"
    done = call(
        strangers, "focus", "generate", "--method", "edges", "--data", demo_corpus, "--out", out
    )
    assert done.returncode == 0, done.stderr
    with MapReader(out) as reader:
        assert len(reader) == 40
        assert reader.attributes["generator"] == "edges"
        assert reader.shape == (14, 14)
        fakes = reader.read(reader.labels.nonzero()[0])
        assert fakes.any()
        assert not reader.read((reader.labels == 0).nonzero()[0]).any()


def test_a_broken_one_is_listed_with_its_reason_and_harms_nobody(strangers, tmp_path):
    done = call(strangers, "evaluator models --json -")
    assert done.returncode == 0, done.stderr
    listed = {(entry["name"], entry["kind"]): entry for entry in json.loads(done.stdout)}
    assert "a_package_that_nobody_has" in listed["broken", "generator"]["error"]
    assert "a_package_that_nobody_has" in listed["broken-detector", "detector"]["error"]
    assert listed["edges", "generator"]["distribution"] == "edgemaps"
    assert [n for (n, _), entry in listed.items() if entry["error"] and "broken" not in n] == []
    used = call(
        strangers, "focus", "generate", "--method", "broken", "--data", tmp_path, "--out", "x.h5"
    )
    assert used.returncode == 2
    assert "broken" in used.stderr
    assert "Traceback" not in used.stderr
    unknown = call(strangers, "focus generate --method edgse --data", tmp_path)
    assert "perhaps edges?" in unknown.stderr


def test_a_strangers_detector_from_nothing_to_a_table(strangers, demo_corpus, tmp_path):
    checked = call(strangers, "evaluator check patchnet --options image_size=64")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    short = "--options image_size=64 --steps 4 --batch 8 --draws 20"
    run = f"evaluator run --model patchnet --maps truth {short}"
    trained = call(strangers, run, "--data", demo_corpus, "--out", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr
    table = call(strangers, "evaluator table", tmp_path / "run")
    assert "frame_auc" in table.stdout
    out, weights = tmp_path / "patchnet.h5", tmp_path / "run" / "seed-0"
    generate = "focus generate --method patchnet --data"
    drawn = call(strangers, generate, demo_corpus, "--weights", weights, "--out", out)
    assert drawn.returncode == 0, drawn.stderr
    with MapReader(out) as reader:
        assert reader.shape == (8, 8)
