"""Tars of WebDataset, and several numbered archives as one source."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest

from focus.data.images import read_face, read_mask
from focus.data.sources import Source, open_source
from focus.errors import InputError


def encode(level):
    return cv2.imencode(".png", np.full((8, 8, 3), level, np.uint8))[1].tobytes()


def write(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_labels_masks_and_columns_of_samples(tmp_path):
    about = {"label": "fake", "video": "v7", "split": "validation", "age": 31, "tags": ["a"]}
    members = {
        "b/0001.png": encode(1),
        "b/0001.cls": b"0\n",
        "b/0002.v2.PNG": encode(9),  # a second dot: not the image of the sample
        "b/0002.png": encode(2),
        "b/0002.json": json.dumps(about).encode(),
        "b/0002.mask.png": encode(255),
        "c/0002.png": encode(3),  # of another folder: another sample
        "c/0002.json": b'{"label": null, "score": 0.5}',
    }
    index = open_source(Source(str(write(tmp_path / "a.tar", members))))
    assert list(index.keys) == ["a.tar!/b/0001.png", "a.tar!/b/0002.png", "a.tar!/c/0002.png"]
    assert index.labels.tolist() == [0, 1, -1]
    face = index[1]
    assert (face.video, face.split, face.extra["age"]) == ("v7", "val", "31")
    assert "tags" not in face.extra
    assert read_mask(index.root / face.mask).all()
    assert (read_face(index.root, face.key) == 2).all()


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [
        ("1.cls", b"2", r"a.tar: sample 1: label '2'; use 0 \(real\)"),
        ("1.cls", b"\xff", "sample 1: "),
        ("1.json", b'{"label": "maybe"}', "label 'maybe'"),
        ("1.json", b"[1]", "its JSON is not an object"),
        ("1.json", b"{", "sample 1: "),
    ],
)
def test_labels_that_cannot_be_read_are_one_line(tmp_path, member, data, message):
    path = write(tmp_path / "a.tar", {"1.png": encode(1), member: data})
    with pytest.raises(InputError, match=message):
        open_source(Source(str(path)))


def test_a_folder_of_tars_and_numbered_tars_are_one_source(tmp_path):
    for number in range(8, 11):
        write(tmp_path / f"f-{number:03}.tar", {"1.png": encode(number), "1.cls": b"1"})
    keys = [f"f-{number:03}.tar!/1.png" for number in range(8, 11)]
    assert list(open_source(Source(str(tmp_path))).keys) == keys
    some = open_source(Source(str(tmp_path / "f-{009..010}.tar")))
    assert list(some.keys) == keys[1:]
    assert (read_face(some.root, some.keys[1]) == 10).all()
    with pytest.raises(InputError, match=r"f-011\.tar: no such file"):
        open_source(Source(str(tmp_path / "f-{009..011}.tar")))
    with pytest.raises(InputError, match="names no archive"):
        open_source(Source(str(tmp_path / "f-{3..2}.tar")))
    with pytest.raises(InputError, match="only archives are read by URL or by numbers"):
        open_source(Source(str(tmp_path / "f-{1..2}.png")))
