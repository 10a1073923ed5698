from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from evaluator.metrics.image import image_metrics, video_groups
from evaluator.metrics.intervals import (
    Resampling,
    effective,
    effective_pairs,
    interval,
    resample,
)
from evaluator.metrics.ranking import equal_error_rate


def judge(scores, labels, videos=None, methods=None, draws=0):
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    videos = videos if videos is not None else [""] * len(labels)
    groups = video_groups(videos, labels, methods)
    return image_metrics(scores, labels, groups, Resampling.over(videos, draws))


def faces(seed, count=80, videos=16):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    scores = np.round((generator.random(count) + 0.4 * labels) / 1.4, 1 + seed % 2)  # with ties
    return scores, labels, [f"v{video}" for video in generator.integers(0, videos, count)]


@pytest.mark.parametrize("seed", range(4))
def test_curves_equal_scikit_learn(seed):
    scores, labels, _ = faces(seed)
    found = judge(scores, labels)
    assert found["frame_auc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["frame_ap"].value == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )
    alarms, hits, _ = roc_curve(labels, scores)
    root = brentq(lambda x: 1 - x - interp1d(alarms, hits)(x), 0, 1)
    assert found["frame_eer"].value == pytest.approx(root, abs=1e-9)


def test_by_hand():
    found = judge([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    assert found["frame_auc"].value == 0.75
    assert found["frame_acc"].value == 0.75
    assert found["frame_eer"].value == 0.5
    assert found["frame_ap"].value == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert {found[name].n for name in found} == {4}


def test_a_score_of_exactly_one_half_says_real():
    assert judge([0.5, 0.5], [0, 1])["frame_acc"].value == 0.5


def test_perfect_and_inverted_scores():
    perfect, inverted = judge([0, 1], [0, 1]), judge([1, 0], [0, 1])
    assert (perfect["frame_auc"].value, perfect["frame_eer"].value) == (1.0, 0.0)
    assert (inverted["frame_auc"].value, inverted["frame_eer"].value) == (0.0, 1.0)
    assert judge([0.3, 0.3], [0, 1])["frame_eer"].value == 0.5


def test_video_score_is_the_mean_of_its_frames():
    scores, labels = [0.9, 0.3, 0.5, 0.1], [1, 1, 0, 0]
    found = judge(scores, labels, ["f", "f", "r", "r"])
    assert found["video_auc"].value == 1.0
    assert found["video_acc"].value == 1.0
    assert found["video_auc"].n == 2
    assert found["frame_auc"].value == 0.75


def test_seven_hundred_videos_stay_seven_hundred():
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    fakes = [(f"{i:03}_{i ^ 1:03}", 1, method) for method in methods for i in range(140)]
    rows = 2 * [*((f"{i:03}", 0, "") for i in range(140)), *fakes]
    videos, labels, named = zip(*rows, strict=True)
    found = judge(np.random.default_rng(0).random(1400), labels, list(videos), list(named))
    assert found["video_auc"].n == found["video_acc"].n == 700
    assert found["frame_auc"].n == 1400


def test_real_and_fake_faces_of_one_person_are_two_videos():
    groups = video_groups(["ann", "ann", "", ""], np.array([0, 1, 1, 1]))
    assert len(set(groups.tolist())) == 4


def test_one_class_has_no_curve_and_says_so():
    found = judge([0.2, 0.7], [1, 1], draws=10)
    for name in ("frame_auc", "frame_eer", "frame_ap", "video_auc"):
        assert found[name].value is None
        assert found[name].reason == "no real faces"
    assert found["frame_acc"].value == 0.5


def test_faces_without_label_or_score_do_not_enter():
    found = judge([0.2, 0.7, 0.9, np.nan], [0, 1, -1, 1], draws=10)
    assert found["frame_auc"].value == 1.0
    assert found["frame_auc"].n == 2
    nothing = judge([np.nan], [1], draws=10)
    assert nothing["frame_acc"].value is None
    assert nothing["frame_acc"].reason == "no labelled face has a score"


def test_intervals_equal_a_slow_loop_over_the_same_draws():
    scores, labels, videos = faces(3)
    resampling = Resampling.over(videos, 60, 9)
    groups = video_groups(videos, labels)
    found = image_metrics(scores, labels, groups, resampling)
    slow: dict[str, list[float]] = {
        "frame_auc": [],
        "frame_ap": [],
        "frame_acc": [],
        "video_auc": [],
    }
    for counts in np.concatenate(list(resample(resampling.count, 60, 9))).astype(int):
        times = counts[resampling.units]
        rows = np.repeat(np.arange(len(scores)), times)
        slow["frame_auc"].append(roc_auc_score(labels[rows], scores[rows]))
        slow["frame_ap"].append(average_precision_score(labels[rows], scores[rows]))
        slow["frame_acc"].append(np.mean((scores[rows] > 0.5) == labels[rows]))
        drawn = [
            (group, copy) for group in set(groups) for copy in range(max(times[groups == group]))
        ]
        means = [scores[groups == group].mean() for group, _ in drawn]
        truth = [labels[groups == group][0] for group, _ in drawn]
        slow["video_auc"].append(roc_auc_score(truth, means))
    for name, values in slow.items():
        number = len(set(groups)) if name == "video_auc" else len(scores)
        units = (
            resampling.units[np.unique(groups, return_index=True)[1]]
            if name == "video_auc"
            else resampling.units
        )
        truth = labels[np.unique(groups, return_index=True)[1]] if name == "video_auc" else labels
        videos = (
            effective(units, np.ones(number, dtype=bool))
            if name == "frame_acc"
            else effective_pairs(units, truth)
        )
        error = np.std(values) * np.sqrt(videos / (videos - 1))
        expected = interval(found[name].value, error, videos, counted=True)
        assert (found[name].low, found[name].high) == pytest.approx(expected, abs=1e-9), name
        assert found[name].low < found[name].value < found[name].high


def test_equal_error_rate_of_many_draws_at_once():
    positives = np.array([[0, 1, 2], [1, 1, 1], [0, 0, 0]])
    negatives = np.array([[2, 1, 0], [1, 1, 1], [1, 0, 1]])
    one_by_one = [equal_error_rate(p, n) for p, n in zip(positives, negatives, strict=True)]
    np.testing.assert_array_equal(equal_error_rate(positives, negatives), one_by_one)
    assert one_by_one[1] == pytest.approx(0.5)
    assert np.isnan(one_by_one[2])
