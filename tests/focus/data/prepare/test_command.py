"""Refusals of the command, and photographs with a real detector."""

from __future__ import annotations

import cv2
import pytest

from focus.data.corpus import CORPORA, Corpus
from focus.data.cropping import parse_box
from focus.data.index import FaceIndex
from focus.data.prepare import PrepareCommand
from focus.errors import InputError
from tests.focus.data.prepare.making import draw, prepare
from tests.shared import SHARED


def test_refusals(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    cv2.imwrite(str(data / "photo.png"), draw((8, 8)))
    with pytest.raises(InputError, match="--data is missing"):
        prepare("", tmp_path / "out")
    with pytest.raises(InputError, match="is inside --data"):
        prepare(data, data / "deep/out")
    with pytest.raises(InputError, match="use --frames N, evenly spaced"):
        prepare(data, tmp_path / "out", source={"every": 3})
    with pytest.raises(InputError, match=r"--enlarge 0: must be 0\.5 or more"):
        PrepareCommand(enlarge=0)
    with pytest.raises(InputError, match="--quality 101"):
        PrepareCommand(quality=101)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/index.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"is not empty and holds no run\.json"):
        prepare(data, tmp_path / "taken", overwrite=True)
    (tmp_path / "faces.csv").write_text("path,label,box\ndata/photo.png#0.0,0,1 1 9 9\n")
    with pytest.raises(InputError, match="the row names a face"):
        prepare(tmp_path / "faces.csv", tmp_path / "out")
    prepare(data, tmp_path / "out")
    with pytest.raises(InputError, match="faces that focus prepare cut; use it directly"):
        prepare(tmp_path / "out", tmp_path / "again")
    with pytest.raises(InputError, match=r"holds another run \(enlarge: 1\.3 there, 2\.0 here"):
        prepare(data, tmp_path / "out", enlarge=2.0)
    assert parse_box(prepare(data, tmp_path / "out")[0].extra["box"]) == (6, 6, 27, 27)
    other = prepare(data, tmp_path / "out", enlarge=2.0, overwrite=True)
    assert parse_box(other[0].extra["box"]) == (0, 0, 32, 32)


def test_a_corpus_of_faces_needs_no_preparing(tmp_path):
    corpus = Corpus("faces-x", "Faces", "here", lambda *_: FaceIndex.of([], tmp_path), unit="face")
    with (
        CORPORA.temporarily("faces-x", corpus),
        pytest.raises(InputError, match="nothing to prepare; use --data faces-x directly"),
    ):
        prepare("faces-x", tmp_path / "out")


@pytest.mark.skipif(
    not (SHARED / "data" / "photos").is_dir(), reason=f"no photographs and weights in {SHARED}"
)
def test_photographs_with_a_real_detector(tmp_path, monkeypatch):
    monkeypatch.undo()
    index = prepare(SHARED / "data" / "photos", tmp_path / "out", size=64)
    assert len(index) == len(set(index.column("source"))) == 24
    assert all(float(score) > 0.6 for score in index.column("score"))
