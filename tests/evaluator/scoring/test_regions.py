from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluator.cli import main as evaluator
from evaluator.scoring.regions import REGIONS, region_levels, region_metrics, region_weights
from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.mapstore import MapReader, MapWriter


def write(tmp_path, labels, parts, maps):
    keys = [f"{n}.png" for n in range(len(labels))]
    rows = [f"{k},{label},{p},{n % 3}" for n, (k, label, p) in enumerate(zip(keys, labels, parts))]  # noqa: B905
    path = tmp_path / "index.csv"
    path.write_text("\n".join(["path,label,parts,video", *rows]) + "\n")
    out = tmp_path / "maps.h5"
    with MapWriter(out, generator="mine", real_maps="fake-class") as writer:
        writer.append(keys, maps, labels)
    return FaceIndex.read(path), MapReader(out)


def test_parts_have_plausible_positions():
    eyes, nose, mouth = region_weights(14, 14)
    rows = np.arange(14)[:, None]
    centres = [float((plane * rows).sum()) for plane in (eyes, nose, mouth)]
    assert centres == sorted(centres)
    assert centres[0] < 6.5 < centres[2]
    for plane in (eyes, nose, mouth):
        assert plane.sum() == pytest.approx(1)
        np.testing.assert_allclose(plane, plane[:, ::-1], atol=0.02)


def test_metrics_equal_a_slow_loop(tmp_path):
    rng = np.random.default_rng(0)
    labels = [1] * 40 + [0] * 5
    names = [" ".join(p for p in REGIONS if rng.random() < 0.5) for _ in labels]
    index, reader = write(tmp_path, labels, names, rng.random((45, 8, 8)).astype(np.float32))
    found = region_metrics(index, np.arange(45), reader, 0, 0)
    levels = region_levels(reader, index.keys)
    areas, hits = [], []
    for row in range(40):
        truth = [part in names[row].split() for part in REGIONS]
        if 0 < sum(truth) < 3:
            areas.append(roc_auc_score(truth, levels[row]))
            hits.append(truth[int(levels[row].argmax())])
    assert found["part_auc"].value == pytest.approx(np.mean(areas))
    assert found["part_pointing"].value == pytest.approx(np.mean(hits))
    assert found["part_auc"].n == len(areas)


def test_ties_count_one_half_and_a_share(tmp_path):
    index, reader = write(tmp_path, [1], ["eyes"], np.zeros((1, 8, 8), np.float32))
    found = region_metrics(index, np.arange(1), reader, 0, 0)
    assert found["part_auc"].value == 0.5
    assert found["part_pointing"].value == pytest.approx(1 / 3)


def test_the_command_prints_them_and_reports_an_unknown_part(tmp_path, capsys):
    maps = np.stack([region_weights(14, 14)[k] * 20 for k in (0, 2, 0)]).clip(0, 1)
    write(tmp_path, [1, 1, 0], ["eyes", "mouth;nose", ""], maps.astype(np.float32))
    call = ["score", "--maps", str(tmp_path / "maps.h5"), "--data", str(tmp_path / "index.csv")]
    assert evaluator([*call, "--split", "all", "--json", "-", "--quiet"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert parts["part_pointing"]["value"] == 1.0
    text = (tmp_path / "index.csv").read_text().replace("mouth;nose", "ears")
    (tmp_path / "index.csv").write_text(text)
    assert evaluator([*call, "--split", "all"]) == 2
    assert "no part 'ears'" in capsys.readouterr().err


def test_without_a_partly_manipulated_face_the_reason_is_given(tmp_path):
    index, reader = write(tmp_path, [1, 0], ["eyes nose mouth", ""], np.ones((2, 8, 8), np.float32))
    found = region_metrics(index, np.arange(2), reader, 10, 0)
    assert found["part_auc"].value is None
    assert "some parts" in found["part_auc"].reason
    with pytest.raises(InputError):
        region_metrics(
            index.take(np.arange(2)), np.arange(2), MapReader(tmp_path / "none.h5"), 0, 0
        )
