"""Scores of partial predictions: missing faces, maps or scores."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.metrics import DETECTION
from evaluator.scoring.summary import format_summary
from focus.data.index import Face
from focus.errors import InputError
from tests.evaluator.scoring.making import SIZE, judge


def test_partial_maps_are_reported_and_other_corpora_refused(corpus):
    keys = [face.key for face in corpus.faces]
    partial = judge(corpus, corpus.save(keys=keys[:-2]))
    assert partial["coverage"] == {
        "faces": 16,
        "with_map": 14,
        "share": 14 / 16,
        "missing": {"real": 0, "fake": 2, "unknown": 0},
        "without_score": {"real": 0, "fake": 0, "unknown": 0},
        "rule": "leave-out",
    }
    assert "2 of 16 faces have no prediction (2 fake, 0 real): they are left out" in " ".join(
        partial["notes"]
    )
    text = format_summary(partial)
    assert "without a prediction: 2 fake, 0 real faces, which are LEFT OUT of every value" in text
    assert "LEFT OUT" not in format_summary(judge(corpus, corpus.save()))
    train_only = corpus.save(keys=keys[:16])
    with pytest.raises(
        InputError, match=r"0 of 16 faces of split test \(it has maps of split train\)"
    ):
        judge(corpus, train_only)
    with pytest.raises(InputError, match=r"missing, among others: test0_0\.png, test0_1\.png"):
        judge(corpus, train_only)


def test_without_masks_only_scores_are_evaluated(corpus):
    corpus.faces = [Face(face.path, face.label, face.split) for face in corpus.faces]
    result = judge(corpus, corpus.save())
    assert tuple(result["metrics"]) == DETECTION
    assert "no fake here has a truth mask: detection metrics only" in result["notes"]
    assert result["by"] == {}


def test_without_scores_only_maps_are_evaluated(corpus):
    reader = corpus.save(scores=[np.nan] * len(corpus.faces))
    found = judge(corpus, reader)["metrics"]
    assert found["frame_auc"]["reason"] == "no labelled face has a score"
    assert found["pxap"]["value"] > 0.5


def test_missing_faces_count_as_wrong_on_request(corpus):
    maps = {f.key: corpus.masks.get(f.key, np.zeros((SIZE, SIZE))) * 1.0 for f in corpus.faces}
    scores = {face.key: float(face.label) for face in corpus.faces}
    left_out = ("test0_0.png", "test0_2.png", "test1_3.png")  # a real face and two fakes
    keys = [face.key for face in corpus.faces[::-1] if face.key not in left_out]
    reader = corpus.save(maps, keys, [scores[key] for key in keys])
    assert judge(corpus, reader)["metrics"]["pixel_auc"]["value"] == 1.0
    result = judge(corpus, reader, missing="wrong")
    found = result["metrics"]
    assert result["coverage"]["missing"] == {"real": 1, "fake": 2, "unknown": 0}
    assert result["faces"]["total"] == 16
    # Equal to maps and scores that are all wrong.
    worst = {key: 1 - maps[key] if key in left_out else maps[key] for key in maps}
    wrong = [1 - scores[key] if key in left_out else scores[key] for key in maps]
    assert judge(corpus, corpus.save(worst, scores=wrong))["metrics"] == found
    assert found["frame_acc"]["value"] == 13 / 16
    assert found["pixel_auc"]["value"] == 6 / 8
    assert found["fp_area_real"]["value"] == 1 / 8


def test_faces_without_a_score_are_counted_and_may_count_as_wrong(corpus):
    scores = [float(face.label) for face in corpus.faces]
    fake = next(n for n, f in enumerate(corpus.faces) if f.split == "test" and f.label)
    scores[fake] = np.nan
    reader = corpus.save(scores=scores)
    result = judge(corpus, reader)
    assert result["coverage"]["without_score"] == {"real": 0, "fake": 1, "unknown": 0}
    assert "1 of 16 faces has no score (1 fake, 0 real)" in " ".join(result["notes"])
    found = result["metrics"]["frame_acc"]
    assert (found["value"], found["n"]) == (1.0, 15)
    wrong = judge(corpus, reader, missing="wrong")["metrics"]["frame_acc"]
    assert (wrong["value"], wrong["n"]) == (15 / 16, 16)
    assert "they count as wrong" in " ".join(judge(corpus, reader, missing="wrong")["notes"])
    # Without any scores, none is missing and none is wrong.
    silent = judge(corpus, corpus.save(scores=[np.nan] * len(scores)), missing="wrong")
    assert silent["metrics"]["frame_acc"]["value"] is None
    assert silent["coverage"]["without_score"]["fake"] == 0
