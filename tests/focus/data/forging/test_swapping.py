"""Donors: mismatch, warp and colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from focus.data.forging import (
    forge_face,
    making,
    processes,
)
from focus.data.forging.swapping import match_colours, measure_mismatch, warp_donor
from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.errors import InputError
from tests.focus.data.forging.making import WEIGHTS, contents, draw_portrait, flat_landmarks, forge


class StubModel:
    """A fake landmark network: the points of a face in the middle of the image."""

    def __init__(self, weights):
        self.weights = weights

    def find(self, image):
        height, width = image.shape[:2]
        middle = np.array([width / 2, 0.45 * height])
        return (middle + 0.35 * height * flat_landmarks()).astype(np.float32)


@pytest.fixture
def stub(monkeypatch, tmp_path):
    monkeypatch.setattr(making, "LandmarkModel", StubModel)
    monkeypatch.setattr("focus.data.forging.command.LandmarkModel", StubModel)
    weights = tmp_path / "points.onnx"
    weights.write_bytes(b"replaces a network")
    return str(weights)


def test_mismatch_agrees_with_the_residual_of_another_library():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(68, 2))
    other = points @ [[0.8, 0.6], [-0.6, 0.8]] * 3 + 5 + rng.normal(size=(68, 2))
    rest = SimilarityTransform.from_estimate(other, points)(other) - points
    left = np.sqrt((rest**2).sum() / ((points - points.mean(0)) ** 2).sum())
    assert measure_mismatch(other, points) == pytest.approx(left)
    assert measure_mismatch(2 * points[:, ::-1] * [1, -1] + 3, points) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("stiffness", [0.05, 5.0])
def test_donor_is_warped_to_the_landmarks(stiffness):
    """An affine move needs no bending, so any stiffness undoes it."""
    image = cv2.GaussianBlur(draw_portrait(4, 128).image, (0, 0), 2)
    matrix = np.array([[0.9, 0.15, 5], [-0.1, 1.05, 4]])
    moved = cv2.warpAffine(image, matrix, (128, 128), borderMode=cv2.BORDER_REFLECT_101)
    points = 64 + 40 * flat_landmarks()
    donor = points @ matrix[:, :2].T + matrix[:, 2]
    window = slice(30, 101), slice(25, 99)
    warped = warp_donor(moved, donor, points, window, stiffness)
    difference = np.abs(warped.astype(int) - image[window])
    assert warped.shape == (71, 74, 3)
    assert difference.mean() < 1.5


def test_colours_are_matched_in_lab():
    below, content = draw_portrait(5).image, draw_portrait(6).image
    weight = np.zeros(below.shape[:2], np.float32)
    weight[30:70, 30:70] = 1
    matched = match_colours(content, below, weight)
    means = [
        cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[30:70, 30:70].mean((0, 1))
        for image in (matched, below)
    ]
    assert np.allclose(means[0], means[1], atol=1.5)


def test_swap_inserts_the_other_face(monkeypatch):
    target, donor = draw_portrait(7), draw_portrait(8)
    unlike = forge_face(target, "swap", np.random.default_rng(0), donor).image
    itself = forge_face(target, "swap", np.random.default_rng(0), target).image
    mask = forge_face(target, "swap", np.random.default_rng(0), donor).mask
    far, near = (
        np.abs(image.astype(int) - target.image)[mask].mean() for image in (unlike, itself)
    )
    assert far > 3 * near


def test_swaps_are_of_another_video_in_the_same_split(demo_corpus, tmp_path, stub):
    # Of ten people, only one is in val.
    index = FaceIndex.read(demo_corpus)
    people = [face for face in index if face.split != "val"]
    FaceIndex.of(people, index.root).relocated(tmp_path).write(tmp_path / "index.csv")
    made = forge(tmp_path / "index.csv", tmp_path / "out", forgery=("swap",), landmarks=stub)
    faces = {face.path: face for face in made}
    fakes = list(made.where(label=1))
    assert len(fakes) == 18
    for fake in fakes:
        donor = faces[fake.extra["donor"]]
        assert donor.split == fake.split
        assert donor.video != fake.video
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "index.csv").unlink()
    forge(tmp_path / "index.csv", tmp_path / "out", forgery=("swap",), landmarks=stub)
    assert contents(tmp_path / "out") == whole


def test_swap_without_a_partner_is_refused(demo_corpus, tmp_path, stub):
    with pytest.raises(InputError, match="split val has only one video"):
        forge(demo_corpus, tmp_path / "out", forgery=("blend", "swap"), landmarks=stub)
    assert not (tmp_path / "out").exists()


def test_swap_without_a_landmark_model_is_one_clear_line(demo_corpus, tmp_path):
    with pytest.raises(InputError, match="--landmarks FILE or") as caught:
        forge(demo_corpus, tmp_path / "out", forgery=("swap",))
    assert "\n" not in str(caught.value)


def test_wrong_landmark_model_is_reported(demo_corpus, tmp_path):
    with pytest.raises(InputError, match="no landmark model at"):
        forge(demo_corpus, tmp_path / "out", landmarks=str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(InputError, match="not an ONNX model of 68 points"):
        forge(demo_corpus, tmp_path / "out", landmarks=str(tmp_path / "text.onnx"))


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs pfld68.onnx in $FOCUS_SHARED")
def test_swaps_are_the_same_in_one_process_and_in_two(demo_corpus, tmp_path, monkeypatch):
    options = {"source": Source(data=str(demo_corpus), split="train"), "landmarks": str(WEIGHTS)}
    monkeypatch.setattr(processes, "_CHUNK", 4)
    for name, workers in (("one", 1), ("two", 2)):
        forge(demo_corpus, tmp_path / name, forgery=("swap",), workers=workers, **options)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one.pop("forge.json") != two.pop("forge.json")
    assert one == two
