from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from evaluator.cli import main as evaluator
from evaluator.trial.command import RunCommand, run_command
from evaluator.trial.data import EvaluationSet, check_apart, open_tests, open_training
from evaluator.trial.judging import Trial, judge_trial
from evaluator.trial.results import join_seeds, join_sets
from focus.data.faces import TruthMaps
from focus.data.images import read_mask
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import InputError
from focus.folders import hold
from focus.mapstore import MapReader, MapWriter
from focus.runtime import Runtime
from focus.training.options import FitConfig

SMALL = ("encoder=resnet10t", "encoder_weights=none", "image_size=64", "channels=8")
FIT = FitConfig(steps=3, batch=8, validate_every=2, workers=0)


@pytest.fixture
def command(demo_corpus, tmp_path):
    return RunCommand(
        maps="truth",
        source=Source(str(demo_corpus)),
        out=tmp_path / "trial",
        options=SMALL,
        fit=FIT,
        draws=20,
        runtime=Runtime(device="cpu", quiet=True),
    )


def write_maps(path, keys, labels, value=1.0):
    maps = np.full((len(keys), 4, 4), value, dtype=np.float32)
    with MapWriter(path, generator="mine") as writer:
        writer.append(keys, maps, labels)
    return path


def result_of(command):
    run_command(command)
    return json.loads(Path(command.out, "result.json").read_text())


def test_a_trial_from_faces_to_result(command, demo_corpus, capsys):
    result = result_of(replace(command, seeds=2))
    test = FaceIndex.read(demo_corpus).where("test")
    metrics = result["tests"]["test"]["metrics"]
    assert metrics["frame_auc"]["n"] == len(test)
    assert len(metrics["frame_auc"]["seeds"]) == 2
    assert metrics["frame_auc"]["spread"] is not None
    assert metrics["pixel_auc"]["value"] is not None
    assert result["seeds"] == [0, 1]
    assert "frame_auc" in capsys.readouterr().out
    with open(f"{command.out}/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    # Each seed predicts with its own weights, and the test split is not trained on.
    assert all(row["score_0"] != row["score_1"] for row in rows)
    for split in ("train", "val"):
        faces = FaceIndex.read(demo_corpus).where(split)
        assert result[split] == {"faces": len(faces), "fingerprint": faces.fingerprint()}
    # Every face once, including the last, shorter batch, with its label.
    assert [row["key"] for row in rows] == list(test.keys)
    assert [int(row["label"]) for row in rows] == test.labels.tolist()
    with MapReader(f"{command.out}/seed-1/test.h5") as reader:
        assert [float(row["score_1"]) for row in rows] == pytest.approx(reader.scores, abs=1e-6)
        assert reader.attributes["generator"] == command.model


def test_two_trials_of_one_seed_are_equal(command, tmp_path):
    first = result_of(command)
    second = result_of(replace(command, out=tmp_path / "again"))
    assert first == second


def test_an_interrupted_trial_resumes(command, tmp_path):
    whole = result_of(command)
    halted = replace(command, out=tmp_path / "halted")
    with pytest.raises(InputError, match="stopped after step 2"):
        run_command(replace(halted, fit=replace(FIT, stop_after=2)))
    assert result_of(halted) == whole


def test_another_trial_in_the_folder_is_refused(command):
    run_command(command)
    with pytest.raises(InputError, match="started with other settings"):
        run_command(replace(command, maps="zeros"))


def test_a_folder_that_another_trial_writes_is_refused(command):
    with hold(Path(command.out)), pytest.raises(InputError, match="another run is writing it"):
        run_command(command)


def test_training_on_test_faces_is_refused(command, demo_corpus, tmp_path):
    with pytest.raises(InputError, match="of its faces are trained on"):
        run_command(replace(command, test=(f"mine={demo_corpus}:train",)))
    with pytest.raises(InputError, match="of its faces are selected on"):
        run_command(replace(command, test=(f"mine={demo_corpus}:val",)))
    # A copy of the index elsewhere, with other splits, lists the same files.
    index = FaceIndex.read(demo_corpus)
    copy = index.relocated(tmp_path)
    copy.columns["split"] = ["test"] * len(index)
    copy.write(tmp_path / "all.csv")
    with pytest.raises(InputError, match="trained on, such as"):
        run_command(replace(command, test=(f"mine={tmp_path / 'all.csv'}",)))


def test_val_may_be_tested_on_when_selection_is_held_out_of_train(demo_corpus):
    index = FaceIndex.read(demo_corpus)
    data = open_training(index, "none", 0.3, 0)
    tests = open_tests((f"mine={demo_corpus}:val",), index)
    check_apart(data, tests)
    assert not set(data.val.column("video")) & set(data.train.column("video"))
    assert set(data.val.keys) < set(index.where("train").keys)


def test_without_a_test_split_val_is_scored_and_noted(command, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    kept = index.take(np.array(index.column("split")) != "test").relocated(tmp_path)
    kept.write(tmp_path / "index.csv")
    own = replace(command, source=Source(str(tmp_path / "index.csv")))
    result = result_of(own)
    assert list(result["tests"]) == ["val"]
    assert any("optimistic" in note for note in result["notes"])
    clean = result_of(replace(own, hold_out=0.3, out=tmp_path / "clean"))
    assert list(clean["tests"]) == ["val"]
    assert not any("optimistic" in note for note in clean["notes"])


def test_a_wrong_name_fails_before_any_data_is_read(command):
    with pytest.raises(InputError, match="no detector 'prob'; perhaps probe"):
        run_command(replace(command, model="prob", source=Source("/nowhere")))
    with pytest.raises(InputError, match="--options widht"):
        run_command(replace(command, options=("widht=3",), source=Source("/nowhere")))


def test_videos_of_one_corpus_are_kept_apart(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    data = open_training(index, "none", 0, 0)
    shared = index.take(np.arange(4))
    shared.columns["path"] = [f"other/{key}" for key in shared.keys]
    message = r"1 of its videos is trained on, such as .*in the same place"
    with pytest.raises(InputError, match=message):
        check_apart(data, [open_tests((), index)[0]._replace(faces=shared)])


def test_a_copy_of_trained_faces_is_refused_as_test_set_and_as_val(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    data = open_training(index, "none", 0, 0)
    for name, key in enumerate(data.train.keys[:3]):
        shutil.copy(index.root / key, tmp_path / f"{name}.png")
    copies = FaceIndex.of([Face(f"{name}.png", 1) for name in range(3)], tmp_path)
    first = re.escape(f"such as 0.png (the same bytes as {data.train.keys[0]})")
    with pytest.raises(InputError, match=f"--test mine: 3 of its faces are trained on, {first}"):
        check_apart(data, [EvaluationSet("mine", copies)])
    with pytest.raises(InputError, match=r"split val: 3 of its faces are trained on.*--hold-out"):
        check_apart(data._replace(val=copies), [])
    held = data._replace(train=data.train.take(np.arange(3, len(data.train))), val=copies)
    with pytest.raises(InputError, match="--test mine: 3 of its faces are selected on"):
        check_apart(held, [EvaluationSet("mine", copies)])
    check_apart(held, [EvaluationSet("val", copies, selected=True)])


def test_faces_of_unknown_label_are_not_used_for_training_or_tests(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus).relocated(tmp_path)
    index.write(tmp_path / "index.csv")
    lines = (tmp_path / "index.csv").read_text().splitlines()
    at = lines[0].split(",").index("label")
    for row, cells in enumerate(line.split(",") for line in list(lines)):
        if row and row % 5 == 0:
            cells[at] = ""
            lines[row] = ",".join(cells)
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    found = FaceIndex.read(tmp_path / "index.csv")
    hidden = set(found.keys[4::5])
    assert {key for key, label in zip(found.keys, found.labels, strict=True) if label < 0} == hidden
    data = open_training(found, "none", 0, 0)
    (test,) = open_tests((), found)
    for part, split in ((data.train, "train"), (data.val, "val"), (test.faces, "test")):
        assert list(part.keys) == [key for key in index.where(split).keys if key not in hidden]


def test_near_duplicates_of_training_faces_add_a_note(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    data = open_training(index, "none", 0, 0)
    image = cv2.imread(str(index.root / data.train.keys[0]))
    cv2.imwrite(str(tmp_path / "saved.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 70])
    check_apart(data, [EvaluationSet("own", index.where("test"))])
    assert data.notes == []
    again = FaceIndex.of([Face("saved.jpg", 1)], tmp_path)
    check_apart(data, [EvaluationSet("mine", again)])
    assert data.notes == [
        "test set mine: 1 of its faces resemble training faces, such as saved.jpg like "
        f"{data.train.keys[0]}: check for duplicates"
    ]


def test_maps_of_other_faces_are_refused_with_ten_names(
    command, demo_corpus, tmp_path, monkeypatch
):
    write_maps(tmp_path / "other.h5", [f"other/{n}.png" for n in range(5)], [1] * 5)
    monkeypatch.chdir(tmp_path)  # a long path would leave no room for ten names in one line
    with pytest.raises(InputError, match="has maps of 0 of") as error:
        run_command(replace(command, maps="other.h5"))
    missing = str(error.value).split("among others: ")[1].split(", ")
    train = FaceIndex.read(demo_corpus).where("train", label=1)
    assert missing == list(train.keys[:10])


def test_partial_coverage_and_empty_maps_are_noted(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    fakes = list(index.where("train", label=1).keys)
    path = write_maps(tmp_path / "most.h5", fakes[1:], [1] * (len(fakes) - 1), value=0.0)
    data = open_training(index, str(path), 0, 0)
    assert fakes[0] not in data.train.keys
    assert any("1 of" in note and "excluded" in note for note in data.notes)
    assert any("empty map" in note for note in data.notes)


def test_maps_too_faint_for_a_hard_mask_are_counted(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    fakes = list(index.where("train", label=1).keys)
    path = write_maps(tmp_path / "faint.h5", fakes, [1] * len(fakes), value=0.3)
    said = open_training(index, str(path), 0, 0, hard=0.5).notes
    assert len(said) == 1
    assert "without a value of 0.5 or more" in said[0]
    assert f"{len(fakes)} of {len(fakes)} fakes" in said[0]
    assert open_training(index, str(path), 0, 0, hard=0.2).notes == []


def test_compressions_are_scored_apart(command, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    faces = [
        replace(face, extra={"compression": ("c23", "c40")[row // 2 % 2]})
        for row, face in enumerate(index)
    ]
    FaceIndex.of(faces, index.root).write(tmp_path / "index.csv")
    result = result_of(
        replace(command, source=Source(str(tmp_path / "index.csv"), root=index.root))
    )
    assert set(result["tests"]["test"]["by"]["compression"]) == {"c23", "c40"}


def test_truth_as_maps(demo_corpus):
    index = FaceIndex.read(demo_corpus)
    maps = TruthMaps(index, side=64)
    fake = int(np.flatnonzero(index.labels == 1)[0])
    mask = read_mask(index.root / index.column("mask")[fake])
    assert np.array_equal(maps[index.keys[fake]] > 0.5, mask)
    real = int(np.flatnonzero(index.labels == 0)[0])
    assert not maps[index.keys[real]].any()


@pytest.mark.parametrize("maps", ["none", "zeros"])
def test_kinds_of_supervision(command, maps):
    result = result_of(replace(command, maps=maps))
    assert result["maps"]["source"] == maps


def test_data_come_from_the_map_file(command, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    path = tmp_path / "maps.h5"
    with MapWriter(path, generator="mine", data=str(demo_corpus)) as writer:
        writer.append(index.keys, np.ones((len(index), 2, 2)), index.labels)
    result = result_of(replace(command, maps=str(path), source=Source()))
    assert result["train"]["faces"] == len(index.where("train"))


def test_a_real_face_has_a_zero_map_regardless_of_the_file(demo_corpus, tmp_path):
    from focus.data.faces import FaceDataset

    index = FaceIndex.read(demo_corpus)
    path = write_maps(tmp_path / "ones.h5", list(index.keys), index.labels)
    data = FaceDataset(index, 64, MapReader(path))
    for row in range(len(index)):
        sample = data[row]
        assert float(sample.map.max()) == float(index.labels[row] == 1)


@pytest.mark.parametrize(
    ("flag", "instead"),
    [
        ("--predictions", "evaluator judge PREDICTIONS"),
        ("--protocol=x", "evaluator protocol NAME"),
        ("--dry_run", "evaluator protocol NAME"),
    ],
)
def test_a_moved_flag_names_its_command(flag, instead, capsys):
    assert evaluator(["run", flag, "theirs.csv"]) == 2
    assert instead in capsys.readouterr().err


def test_a_hostile_map_file_stops_the_trial_with_one_line(command, tmp_path):
    path = tmp_path / "bad.h5"
    with h5py.File(path, "w") as file:
        file["maps"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(InputError, match=r"bad\.h5"):
        run_command(replace(command, maps=str(path)))


def test_unreadable_faces_are_reported_and_the_rest_is_scored(command, demo_corpus, tmp_path):
    from focus.errors import CheckFailedError

    shutil.copytree(demo_corpus.parent, tmp_path / "copy")
    index = FaceIndex.read(tmp_path / "copy" / "index.csv")
    victim = index.where("train").keys[0]
    (tmp_path / "copy" / victim).write_bytes(b"\xff\xd8\xff")
    broken = replace(command, source=Source(str(tmp_path / "copy" / "index.csv")), maps="none")
    with pytest.raises(CheckFailedError, match="could not be read"):
        run_command(replace(broken, fit=replace(FIT, steps=8)))
    assert json.loads(Path(command.out, "result.json").read_text())["metrics"]


def test_seeds_are_joined_in_quadrature():
    seeds = [
        {"frame_auc": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 5}},
        {"frame_auc": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 5}},
    ]
    found = join_seeds(seeds)["frame_auc"]
    assert found["value"] == pytest.approx(0.6)
    assert found["spread"] == pytest.approx(0.1414, abs=1e-4)
    # Standard errors: 0.1 / 1.96 of the faces and 0.1414 / sqrt(2) = 0.1 of the two seeds, so
    # (1 + 0.26)^2 = 1.589 degrees of freedom, Student's quantile 5.57: hypot(0.1, 0.557) = 0.566.
    assert found["low"] == pytest.approx(0.6 - 0.566, abs=1e-3)
    assert found["high"] == 1.0
    alone = join_seeds(seeds[:1])["frame_auc"]
    assert (alone["low"], alone["high"], alone["spread"]) == pytest.approx((0.4, 0.6, None))
    few = {"value": 0.9, "low": None, "high": None, "n": 5, "reason": "too few videos"}
    mixed = join_seeds([*seeds, {"frame_auc": few}])["frame_auc"]
    assert (mixed["value"], mixed["low"], mixed["high"]) == (pytest.approx(0.7), None, None)
    assert mixed["reason"] == "too few videos"


def test_the_faces_of_all_seeds_are_recorded(demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus).where("test")
    seeds = [list(index.keys), list(index.keys)[:-1]]
    files = []
    for seed, keys in enumerate(seeds):
        labels = index.labels[: len(keys)]
        maps = np.full((len(keys), 4, 4), 0.5, dtype=np.float32)
        files.append(tmp_path / f"{seed}.h5")
        with MapWriter(files[-1], generator="mine") as writer:
            writer.append(keys, maps, labels, labels.astype(np.float32))
    test = [EvaluationSet("test", index)]
    trial = Trial({"test": files}, {"model": "mine", "predictions": {}}, True)
    judge_trial(trial, test, tmp_path, 0, Runtime(device="cpu", quiet=True))
    found = json.loads((tmp_path / "result.json").read_text())["tests"]["test"]
    assert all("+" in faces for faces in found["sets"].values())
    assert sum(found["coverage"]["missing"].values()) == 1
    assert any("has no prediction" in note for note in found["notes"])
    sets = {"scores": "a", "maps": "b"}
    assert join_sets([sets, sets]) == sets


def test_maps_without_supervision_are_not_scored(command):
    found = result_of(replace(command, maps="none"))["tests"]["test"]
    assert found["metrics"]["frame_auc"]["value"] is not None
    assert "pixel_auc" not in found["metrics"]
    assert any("no maps were trained" in note for note in found["notes"])
