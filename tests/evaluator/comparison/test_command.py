"""A grid of trials: cells as `evaluator run` writes them, resumed, in one table and page."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import evaluator.comparison.command as comparing
from evaluator.comparison.command import compare_command
from evaluator.comparison.differences import Predictions, measure_difference
from evaluator.comparison.grid import list_cells, list_pairs
from evaluator.comparison.options import CompareCommand
from evaluator.trial.command import run_command, run_trial
from evaluator.trial.options import RunCommand
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source, describe_source
from focus.errors import CheckFailedError, InputError
from focus.mapstore import MapWriter
from focus.runtime import Runtime
from focus.training.options import FitConfig

FIT = FitConfig(steps=2, batch=4, validate_every=1, workers=0)
SMALL = ("encoder=resnet10t", "encoder_weights=none", "image_size=32")
OPTIONS = (*SMALL, "probe.channels=8")


@pytest.fixture
def command(demo_corpus, tmp_path):
    trial = RunCommand(
        source=Source(str(demo_corpus)),
        fit=FIT,
        draws=20,
        runtime=Runtime(device="cpu", quiet=True),
    )
    out = tmp_path / "grid"
    return CompareCommand(("probe", "classifier"), ("truth", "none"), out, OPTIONS, trial)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_grid_from_faces_to_page(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("focus.training.journal.draw_curve", lambda *_: None)  # a second each
    # Killed early: no trial is finished, and each keeps its step.
    halted = replace(command, trial=replace(command.trial, fit=replace(FIT, stop_after=1)))
    with pytest.raises(InputError, match="stopped after step 1"):
        compare_command(halted)
    # One detector cannot be built any more: the others are run, and compared.
    out = command.out
    (out / "classifier" / "none" / "seed-0" / "config.json").write_text("{}")
    with pytest.raises(CheckFailedError, match=r"1 trial with faults: classifier, none: .*"):
        compare_command(command)
    assert [row["name"] for row in read_csv(out / "table.csv")] == [
        "probe, truth",
        "probe, none",
        "classifier, truth",
        "place prior",
    ]
    ran = []
    monkeypatch.setattr(comparing, "run_trial", lambda trial: ran.append(trial.command.out))
    shutil.rmtree(out / "classifier" / "none")
    with pytest.raises(OSError, match=r"result\.json"):
        compare_command(command)  # the replaced function wrote no result
    assert ran == [out / "classifier" / "none"]
    monkeypatch.setattr(comparing, "run_trial", run_trial)
    capsys.readouterr()
    compare_command(command)
    rows = {row["name"]: row for row in read_csv(out / "table.csv")}
    assert "probe, none" in capsys.readouterr().out
    # A cell is what `evaluator run` writes.
    alone = replace(
        command.trial,
        model="probe",
        maps="truth",
        out=tmp_path / "alone",
        options=(*SMALL, "channels=8"),
    )
    run_command(alone)
    cell = json.loads((out / "probe" / "truth" / "result.json").read_text())
    assert cell == json.loads((tmp_path / "alone" / "result.json").read_text())
    # The differences are those of the table.
    found = read_csv(out / "differences.csv")
    assert {(row["first"], row["second"]) for row in found} == {
        ("probe, truth", "probe, none"),
        ("classifier, truth", "classifier, none"),
        ("classifier, truth", "probe, truth"),
        ("classifier, none", "probe, none"),
    }
    for row in found:
        first, second = (
            float(rows[row[at]][f"{row['metric']}_value"]) for at in ("first", "second")
        )
        assert float(row["value"]) == pytest.approx(first - second, abs=1e-9)
    page = (out / "report.html").read_text()
    assert 'href="probe/truth/report.html"' in page
    assert "Paired by face and seed" in page
    assert "--surface" in page  # the style of all pages


@pytest.fixture
def map_file(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    path = tmp_path / "some.h5"
    about = describe_source(Source(str(demo_corpus), split="train"))
    with MapWriter(path, generator="mine", **about) as writer:
        writer.append(list(index.keys), np.ones((len(index), 2, 2), np.float32), index.labels)
    return path


def test_without_data_all_cells_use_the_faces_of_the_first_map_file(command, map_file, demo_corpus):
    maps = ("none", f"mine={map_file}", str(map_file))
    cells = list_cells(replace(command, maps=maps, trial=replace(command.trial, source=Source())))
    assert [cell.name for cell in cells[:3]] == ["probe, none", "probe, mine", "probe, some"]
    assert {cell.command.source.data for cell in cells} == {str(demo_corpus)}
    assert {cell.command.source.split for cell in cells} == {""}
    assert len({cell.folder for cell in cells}) == 6
    assert cells[0].command.options == (*SMALL, "channels=8")
    assert cells[-1].command.options == SMALL


def test_baselines_are_none_and_the_first_detector(command, map_file):
    cells = list_cells(replace(command, maps=("zeros", "none", str(map_file))))
    pairs = [(first.name, second.name) for first, second in list_pairs(cells)]
    assert ("probe, some", "probe, none") in pairs
    assert ("classifier, some", "classifier, none") in pairs
    assert ("classifier, some", "probe, some") in pairs
    assert len(pairs) == 2 * 2 + 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ("probe", "probe")}, "--model probe: is given twice"),
        ({"model": ("prob",)}, "prob"),
        ({"maps": ("none", "none")}, "a second none; write NAME=FILE"),
        ({"maps": ("nowhere.h5",)}, "no such file; give a map file, none, zeros, truth"),
        ({"maps": ("none=none",), "options": ("pcl.x=1",)}, "pcl is not among --model"),
        ({"maps": ("a/b=none",)}, "'a/b' cannot be the name of a folder"),
        ({"options": ("probe.no=1",)}, "--options no: no such setting"),
    ],
)
def test_a_grid_is_checked_before_anything_is_trained(command, change, message):
    with pytest.raises(InputError, match=message):
        compare_command(replace(command, **change))
    assert not any(Path(command.out).rglob("*.safetensors"))
    with pytest.raises(InputError, match="--maps: give at least one"):
        replace(command, maps=())


def test_a_difference_is_paired_by_face_and_seed():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    faces = [Face(f"{k}.png", int(label), video=f"v{k // 4}") for k, label in enumerate(labels)]
    index = FaceIndex.of(faces, ".")
    hard = rng.normal(0, 0.4, 400)  # a face is as hard for both

    def predict(gain):
        scores = [1 / (1 + np.exp(-(gain * (labels - 0.5) + hard + s))) for s in (0, 0.1, 0.2)]
        return Predictions(np.array(scores), {"pixel_auc": np.clip(np.array(scores), 0, 1)})

    found = measure_difference(index, predict(1.0), predict(0.8), 400, 0)
    auc = found["frame_auc"]
    assert 0 < auc["low"] < auc["value"] < auc["high"] < 0.15
    assert len(auc["seeds"]) == 3
    assert found["pixel_auc"]["n"] == 400
    turned = measure_difference(index, predict(0.8), predict(1.0), 400, 0)["frame_auc"]
    assert turned["value"] == pytest.approx(-auc["value"])
    assert -0.15 < turned["low"] < turned["high"] < 0
    alone = measure_difference(index, predict(1.0), predict(0.8)._replace(maps={}), 0, 0)
    assert "pixel_auc" not in alone
    assert alone["frame_auc"]["low"] is None
