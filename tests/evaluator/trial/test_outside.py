"""``evaluator judge``: predictions of another system, matched by name."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluator.cli import main
from evaluator.trial.outside import JudgeCommand, judge_command
from focus.data.images import read_mask
from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from focus.mapstore import MapWriter
from focus.runtime import Runtime

QUIET = Runtime(device="cpu", quiet=True)


@pytest.fixture
def judge(demo_corpus, tmp_path):
    def judge(predictions, **more):
        out = tmp_path / "judged"
        more = {"source": Source(str(demo_corpus)), "draws": 20, "runtime": QUIET, **more}
        judge_command(JudgeCommand(predictions, out=out, **more))
        return json.loads((out / "result.json").read_text())

    return judge


def write_scores(path, keys, scores):
    lines = [f"{key},{score}" for key, score in zip(keys, scores, strict=True)]
    path.write_text("\n".join(["key,score", *lines]))
    return path


def test_scores_are_paired_by_key_not_by_row(judge, demo_corpus, tmp_path):
    test = FaceIndex.read(demo_corpus).where("test")
    order = np.random.default_rng(0).permutation(len(test))
    keys, labels = np.array(test.keys)[order], test.labels[order]
    result = judge(write_scores(tmp_path / "theirs.csv", keys, np.where(labels, 0.9, 0.1)))
    assert result["metrics"]["frame_auc"]["value"] == 1.0
    assert result["metrics"]["frame_auc"]["n"] == len(test)
    assert result["model"] == "theirs.csv"
    assert list(result["tests"]) == ["test"]
    assert "pixel_auc" not in result["metrics"]
    lines = Path(tmp_path / "judged" / "predictions.csv").read_text().splitlines()[1:]
    said = {line.split(",")[1]: float(line.rsplit(",", 1)[1]) for line in lines}
    assert said == {
        key: pytest.approx(0.9 if label else 0.1)
        for key, label in zip(test.keys, test.labels, strict=True)
    }


def test_maps_of_a_folder_are_scored_on_the_requested_split(judge, demo_corpus, tmp_path):
    val = FaceIndex.read(demo_corpus).where("val")
    for key, label, mask in zip(val.keys, val.labels, val.column("mask"), strict=True):
        path = (tmp_path / "maps" / key).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        truth = read_mask(val.root / mask) if label else np.zeros((8, 8), bool)
        cv2.imwrite(str(path), cv2.resize(truth.astype(np.uint8) * 255, (32, 32)))
    result = judge(tmp_path / "maps", source=Source(str(demo_corpus), split="val"))
    assert list(result["tests"]) == ["val"]
    assert result["tests"]["val"]["faces"]["total"] == len(val)
    assert result["metrics"]["pixel_auc"]["value"] > 0.95
    assert result["metrics"]["frame_auc"]["value"] is None


def test_a_map_file_records_its_faces(judge, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    path = tmp_path / "maps.h5"
    with MapWriter(path, generator="mine", data=str(demo_corpus)) as writer:
        scores = index.labels.astype(np.float32)
        writer.append(index.keys, np.zeros((len(index), 2, 2)), index.labels, scores)
    result = judge(path, source=Source())
    assert result["tests"]["test"]["faces"]["total"] == len(index.where("test"))
    assert result["metrics"]["frame_auc"]["value"] == 1.0


def test_faces_without_splits_are_all_scored(judge, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus).relocated(tmp_path)
    index.columns["split"] = [""] * len(index)
    index.write(tmp_path / "all.csv")
    scores = write_scores(tmp_path / "theirs.csv", index.keys, index.labels)
    result = judge(scores, source=Source(str(tmp_path / "all.csv")))
    assert list(result["tests"]) == ["all"]
    assert result["metrics"]["frame_auc"]["n"] == len(index)


def test_broken_maps_are_reported_and_the_rest_is_scored(judge, demo_corpus, tmp_path):
    test = FaceIndex.read(demo_corpus).where("test")
    for key in test.keys:
        path = (tmp_path / "maps" / key).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8), np.uint8))
    victim = (tmp_path / "maps" / test.keys[3]).with_suffix(".png")
    victim.write_bytes(b"x")
    with pytest.raises(CheckFailedError, match="1 face could not be read"):
        judge(tmp_path / "maps")
    result = json.loads((tmp_path / "judged" / "result.json").read_text())
    assert result["tests"]["test"]["coverage"]["with_map"] == len(test) - 1


def test_errors_are_one_line(judge, demo_corpus, tmp_path, capsys):
    with pytest.raises(InputError, match=r"none\.csv: no such file or folder of predictions"):
        judge(tmp_path / "none.csv")
    scores = write_scores(tmp_path / "theirs.csv", FaceIndex.read(demo_corpus).keys[:1], [0.5])
    (tmp_path / "judged" / "seed-0").mkdir(parents=True)
    (tmp_path / "judged" / "seed-0" / "last.safetensors").touch()
    with pytest.raises(InputError, match="contains a trained trial"):
        judge(scores)
    assert main(["judge"]) == 2
    assert "predictions" in capsys.readouterr().err.lower()
