"""Faults of files of predictions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from evaluator.interchange.reading import read_prediction
from focus.errors import InputError, UnreadableError
from tests.evaluator.interchange.making import run_import


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("key;score\n", "has no column 'key'"),
        ("key,score\nb/000.png,1.5\n", r"line 2: score '1\.5' of 'b/000\.png' is not in \[0, 1\]"),
        ("key,score\nb/000.png,\n", "line 2: score ''"),
        ("key,score\nb/000.png,nan\n", "line 2: score 'nan'"),
        ("key,score\nb/000.png,1\nb/000.png,0\n", "line 3: 'b/000.png' occurs twice"),
        ("key,score\nother.png,1\n", "none of its predictions, such as other, matches a face"),
    ],
)
def test_wrong_scores_are_reported(corpus, text, fault):
    path = corpus.parent / "theirs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        run_import(corpus, None, scores=str(path))


@pytest.mark.parametrize("text", ["[1]", "{", '{"b/000.png": "high"}', "[" * 100_000])
def test_wrong_json_is_reported(corpus, text):
    path = corpus.parent / "theirs.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"theirs\.json: "):
        run_import(corpus, None, scores=str(path))


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (np.zeros((2, 3, 4)), "shape"),
        (np.full((2, 2), 1.01), "outside"),
        (np.full((2, 2), np.nan), "outside"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.array([{}]), "numbers"),
    ],
)
def test_arrays_that_are_not_maps(tmp_path, values, fault):
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    with pytest.raises(UnreadableError, match=fault):
        read_prediction(tmp_path / "x.npy")


def test_images_as_maps(tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.array([[0, 65535, 32768]], np.uint16))
    expected = np.array([[0, 1, 32768 / 65535]], np.float32)
    np.testing.assert_array_equal(read_prediction(tmp_path / "deep.png"), expected)
    cv2.imwrite(str(tmp_path / "hot.png"), np.array([[[1, 2, 3]]], np.uint8))
    with pytest.raises(UnreadableError, match="colour image"):
        read_prediction(tmp_path / "hot.png")
    header = (
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999), }"
    )
    (tmp_path / "lying.npy").write_bytes(header.ljust(127) + b"\n")
    with pytest.raises(UnreadableError, match="not an NPY file"):
        read_prediction(tmp_path / "lying.npy")
