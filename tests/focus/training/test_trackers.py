"""Trackers beside the journal: a stand-in, MLflow with a local store, and missing packages."""

from __future__ import annotations

import csv
import json

import pytest
from accelerate.tracking import GeneralTracker

from focus.cli import main
from focus.errors import InputError
from focus.training.trackers import check_trackers, flatten


class Recorder(GeneralTracker):
    """A tracker that keeps what it is given, and fails from a step on."""

    name = "recorder"
    requires_logging_directory = False
    fails_at = 100

    def __init__(self):
        self.settings, self.rows, self.finished = {}, [], False

    @property
    def tracker(self):
        return self

    def start(self):
        """Nothing to open."""

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None, **rest):
        if step >= self.fails_at:
            raise OSError("the disk is full")
        self.rows.append({"step": step, **values})

    def finish(self):
        self.finished = True


@pytest.fixture
def recorder(monkeypatch):
    found = Recorder()
    monkeypatch.setattr("accelerate.tracking.filter_trackers", lambda names, folder: [found])
    monkeypatch.setattr("focus.training.trackers.find_spec", lambda name: name)
    return found


def rows_of(run):
    with (run / "journal.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_a_tracker_receives_the_rows_and_settings_of_the_run(world, recorder):
    world.train(steps=3, batch=4, track=("mlflow",))
    assert recorder.rows == rows_of(world.folder / "run")
    assert [row["step"] for row in recorder.rows] == [1, 2, 3]
    assert recorder.settings["train.optimizer.lr"] == 1.0
    assert recorder.settings["kind"] == "line"
    assert recorder.finished
    assert not (world.folder / "run" / "tensorboard").exists()


def test_a_tracker_that_fails_does_not_stop_the_training(world, recorder, capsys):
    recorder.fails_at = 2
    world.train(steps=3, batch=4, track=("tensorboard", "mlflow"))
    assert [row["step"] for row in recorder.rows] == [1]
    assert len(rows_of(world.folder / "run")) == 3
    assert capsys.readouterr().err.count("failed (the disk is full); training continues") == 1
    assert list((world.folder / "run" / "tensorboard").iterdir())


def test_trackers_do_not_change_the_run(world, recorder):
    few = {"steps": 3, "batch": 4}
    assert world.train(**few) == world.train("other", **few, track=("mlflow",))


def test_a_missing_package_says_how_to_install_it(monkeypatch, capsys):
    missing = ("wandb", "comet_ml")
    monkeypatch.setattr(
        "focus.training.trackers.find_spec", lambda name: None if name in missing else name
    )
    assert main(["train", "small", "--data", "x", "--out", "y", "--track", "wandb"]) == 2
    assert "--track wandb: not installed: pip install 'focus-forgery[wandb]'" in (
        capsys.readouterr().err
    )
    with pytest.raises(InputError, match="pip install comet-ml"):
        check_trackers(("comet_ml",))


def test_settings_are_flat():
    nested = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": True}
    assert flatten(nested) == {"a.b": 1, "a.c": "[1, 2]", "d": "None", "e": True}


def test_mlflow_with_a_local_store(world, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 prefers a database
    world.train(steps=3, batch=4, track=("mlflow",))
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'focus'")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "val/auc")
    written = [(row["step"], row["val/auc"]) for row in rows_of(world.folder / "run")]
    assert [(point.step, point.value) for point in history] == written
    assert run.info.run_name.endswith("/run")
    assert run.info.status == "FINISHED"
    assert json.loads(run.data.params["train.steps"]) == 3
