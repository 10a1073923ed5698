from __future__ import annotations

import pytest

from focus.data.corpora.wsolevaluation import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError

LISTS = {
    "image_ids.txt": "f/a.png\nr/b.png\n",
    "class_labels.txt": "r/b.png,0\nf/a.png,1\nf/elsewhere.png,1\n",
    "localization.txt": "f/a.png,m/a.png,m/a_ignore.png\n",
}


@pytest.mark.parametrize("base", ["", "metadata/", "metadata/faces/"])
def test_rows(plant, base):
    for name, text in LISTS.items():
        plant(f"{base}test/{name}", text=text)
        if not name.startswith("loc"):
            plant(f"{base}train/{name}", text=text.replace("/", "/t"))
    index = CORPUS.scan(plant(), ScanOptions())
    assert [(face.path, face.label, face.split, face.mask) for face in index] == [
        ("f/ta.png", 1, "train", ""),
        ("r/tb.png", 0, "train", ""),
        ("f/a.png", 1, "test", "m/a.png"),
        ("r/b.png", 0, "test", ""),
    ]
    assert index.column("ignore") == ["", "", "m/a_ignore.png", ""]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("class_labels.txt", "f/a.png,1", "image_ids.txt: line 2: r/b.png has no line in class"),
        ("class_labels.txt", "f/a.png,17", "class_labels.txt: line 1 has class '17'; use 0"),
        ("class_labels.txt", "f/a.png 1", "line 1 has 1 field, not 2"),
        ("localization.txt", "f/a.png,1,2,30,40", "line 1 has 5 fields, not 2 or 3"),
        ("localization.txt", "f/a.png,m\nf/a.png,n", "line 2 repeats f/a.png, first in .*line 1"),
        ("image_ids.txt", "r/b.png\nr/b.png", "line 2 repeats r/b.png"),
    ],
)
def test_faults(plant, name, text, message):
    for listed, content in (LISTS | {name: text}).items():
        plant(f"val/{listed}", text=content)
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant(), ScanOptions())


def test_another_folder_is_refused(plant):
    with pytest.raises(InputError, match=r"not wsolevaluation: no image_ids.txt in a folder"):
        CORPUS.scan(plant("test/a.png"), ScanOptions())


def test_an_image_in_two_splits_is_refused(plant):
    for split in ("train", "val"):
        for name, text in LISTS.items():
            plant(f"{split}/{name}", text=text)
    with pytest.raises(InputError, match=r"val/image_ids.txt: line 1 repeats f/a.png"):
        CORPUS.scan(plant(), ScanOptions())
