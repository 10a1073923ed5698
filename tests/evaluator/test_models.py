"""The list of installed models, including a broken third-party package."""

from __future__ import annotations

import json

import pytest

from evaluator.models import ModelsCommand, format_models, list_models, models_command
from focus.detectors import DETECTORS
from focus.errors import InputError

SUMMARY = ("paper", "output", "needs", "start")
KEYS = {"name", "kind", "distribution", "version", "error", *SUMMARY}


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """An installed package with a detector that fails to import and one that prints."""
    info = tmp_path / "stranger-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(
        "[focus.detectors]\nbroken = stranger_broken:Net\ntalking = stranger_talking:Net\n"
    )
    (tmp_path / "stranger_broken.py").write_text("import no_such_module\n")
    (tmp_path / "stranger_talking.py").write_text(
        "print('hello')\nclass Net:\n    def summary(self): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_all_models_are_listed_and_broken_ones_with_a_reason(stranger, capsys):
    models_command(ModelsCommand(json="-"))
    models = json.loads(capsys.readouterr().out)
    assert all(set(model) == KEYS for model in models)
    found = {(model["kind"], model["name"]): model for model in models}
    assert len(found) == len(models)
    assert {("detector", name) for name in DETECTORS.names()} <= set(found)
    assert found["generator", "ssim"]["error"] == ""
    assert found["generator", "ssim"]["distribution"] == "focus-forgery"
    broken = found["detector", "broken"]
    assert (broken["distribution"], broken["version"]) == ("stranger", "2.5")
    assert "no_such_module" in broken["error"]
    assert found["detector", "talking"]["error"] == ""
    assert found["detector", "talking"]["paper"] == ""


def test_every_detector_of_ours_is_summarised_in_its_line():
    models = [m for m in list_models() if m["distribution"] == "focus-forgery"]
    for model in (model for model in models if model["kind"] == "detector"):
        assert all(model[field] for field in SUMMARY), model
    line = next(line for line in format_models(models).splitlines() if "pcl" in line)
    said = "Zhao et al., ICCV 2021; score, inconsistency as map; needs maps; from ImageNet"
    assert line.endswith(said)


def test_the_table_and_the_file_contain_every_model(capsys, tmp_path):
    path = tmp_path / "models.json"
    models_command(ModelsCommand(json=str(path)))
    table = capsys.readouterr().out
    assert json.loads(path.read_text()) == list_models()
    lines = [line.split()[0] for line in table.splitlines() if line.startswith("  ")]
    assert lines == [model["name"] for model in list_models()]
    with pytest.raises(InputError, match="Not a directory"):
        models_command(ModelsCommand(json=str(path / "models.json")))


def test_a_model_of_this_process_is_listed():
    with DETECTORS.temporarily("notebook", object):
        found = next(model for model in list_models() if model["name"] == "notebook")
    assert found["distribution"] == "this process"
    assert "notebook" in format_models([found])
