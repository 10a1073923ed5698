from __future__ import annotations

import pytest

from focus.data.corpora.coverage import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError

TREE = (
    "image/1.tif",
    "image/1t.tif",
    "image/10.tif",
    "image/10t.tif",
    "image/2t.tif",
    "mask/1forged.tif",
    "mask/1copy.tif",
    "mask/1paste.tif",
    "mask/10forged.tif",
)


def test_rows(plant):
    index = CORPUS.scan(plant(*TREE), ScanOptions())
    rows = [(face.path, face.label, face.video, face.mask, face.original) for face in index]
    assert rows == [
        ("image/1.tif", 0, "1", "", ""),
        ("image/1t.tif", 1, "1", "mask/1forged.tif", "image/1.tif"),
        ("image/2t.tif", 1, "2", "", ""),
        ("image/10.tif", 0, "10", "", ""),
        ("image/10t.tif", 1, "10", "mask/10forged.tif", "image/10.tif"),
    ]
    assert set(index.column("split")) == {"test"}
    assert CORPUS.published == {"": 200, "real": 100, "fake": 100}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Au/a.jpg",), "not COVERAGE: no folder image"),
        (("image/holiday.tif",), "holiday.tif: COVERAGE has <n>.tif and <n>t.tif only"),
    ],
)
def test_faults(plant, names, message):
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant(*names), ScanOptions())
