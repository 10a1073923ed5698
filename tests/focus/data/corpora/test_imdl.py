from __future__ import annotations

import json

import pytest

from focus.data.corpora.imdl import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError


def test_folders_pair_by_stem_and_not_by_order(plant, capsys):
    root = plant("Tp/a.jpg", "Tp/b.tif", "Tp/c.jpg", "Gt/a_gt.png", "Gt/c.png", "Gt/left.png")
    index = CORPUS.scan(plant("Au/r.jpg"), ScanOptions())
    assert [(face.path, face.label, face.mask) for face in index] == [
        ("Au/r.jpg", 0, ""),
        ("Tp/a.jpg", 1, "Gt/a_gt.png"),
        ("Tp/b.tif", 1, ""),
        ("Tp/c.jpg", 1, "Gt/c.png"),
    ]
    assert f"{root / 'Gt'}: 1 mask (left.png) without an image in Tp" in capsys.readouterr().err


def test_frames_of_one_name_pair_within_their_folders(plant):
    plant("Tp/u/000.png", "Tp/v/000.png", "Gt/u/000.png", "Gt/v/000.png")
    index = CORPUS.scan(plant(), ScanOptions())
    assert [face.mask for face in index] == ["Gt/u/000.png", "Gt/v/000.png"]


def test_lists(plant, tmp_path):
    entries = [["im\\a.jpg", "gt/a.png"], ["./im/b.jpg", "Negative"]]
    plant("train_casia.json", text=json.dumps(entries))
    entries = [[f"{tmp_path}/im/c.jpg", "/elsewhere/c.png"]]
    root = plant("test.json", text=json.dumps(entries))
    index = CORPUS.scan(root, ScanOptions())
    assert [(face.path, face.label, face.split, face.mask) for face in index] == [
        ("im/c.jpg", 1, "test", "/elsewhere/c.png"),
        ("im/a.jpg", 1, "train", "gt/a.png"),
        ("im/b.jpg", 0, "train", ""),
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"coverage": "/data/coverage"}, "must be a list of .image, mask. or"),
        ([["a.jpg", "a.png"], ["b.jpg"]], "entry 2 must be .image, mask. or .image, .Negative"),
        ([["a.jpg", 0]], "entry 1 must be"),
        ([["JsonDataset", "/data/casia.json"]], "entry 1 must list images .lists of data sets"),
        ([["a.jpg", "negative"]], "entry 1 must list images .* negative"),
        (
            [["a.jpg", "a.png"], ["./a.jpg", "Negative"]],
            "entry 2 repeats a.jpg, first in .*: entry 1",
        ),
    ],
)
def test_faults_of_a_list(plant, entries, message):
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant("list.json", text=json.dumps(entries)), ScanOptions())


def test_another_folder_is_refused(plant):
    with pytest.raises(InputError, match="not IMDL-BenCo: no folder Tp and no JSON list"):
        CORPUS.scan(plant("real/a.jpg"), ScanOptions())
