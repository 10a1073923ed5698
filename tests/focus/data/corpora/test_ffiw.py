from __future__ import annotations

import pytest

from focus.data.corpora.ffiw import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError

TREE = (
    "source/train/a.mp4",
    "source/val/videos/v.mp4",
    "target/train/a.mp4",
    "target/train/lonely.mp4",
    "target/val/videos/v.mp4",
    "target_mask/train/a.mp4",
    "target_mask/val/v.mp4",
)


@pytest.mark.parametrize("base", ["", "FFIW10K-v1-release/"])
def test_rows(plant, base):
    index = CORPUS.scan(plant(*(base + name for name in TREE)), ScanOptions())
    rows = [(face.path, face.label, face.split, face.mask, face.original) for face in index]
    assert rows == [
        (f"{base}source/train/a.mp4", 0, "train", "", ""),
        (f"{base}source/val/videos/v.mp4", 0, "test", "", ""),
        (
            f"{base}target/train/a.mp4",
            1,
            "train",
            f"{base}target_mask/train/a.mp4",
            f"{base}source/train/a.mp4",
        ),
        (f"{base}target/train/lonely.mp4", 1, "train", "", ""),
        (
            f"{base}target/val/videos/v.mp4",
            1,
            "test",
            f"{base}target_mask/val/v.mp4",
            f"{base}source/val/videos/v.mp4",
        ),
    ]


def test_each_row_is_a_video_and_gives_its_pair(plant):
    index = CORPUS.scan(plant(*TREE), ScanOptions())
    assert CORPUS.unit == "video"
    assert len(set(index.column("video"))) == len(index)
    sources = dict(zip(index.keys, index.column("source"), strict=True))
    assert sources["source/train/a.mp4"] == sources["target/train/a.mp4"] == "train/a"


def test_the_test_download_has_no_train(plant):
    root = plant("FFIW10K-v1-release-test/target/val/v.mp4")
    (face,) = CORPUS.scan(root, ScanOptions())
    assert (face.label, face.split) == (1, "test")


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("real/a.mp4",), ScanOptions(), "not FFIW10K: no folder source"),
        ((*TREE, "target/extra/a.mp4"), ScanOptions(), "extra: not an FFIW10K split"),
        (TREE, ScanOptions(compression="c23"), "no compression levels"),
        (TREE, ScanOptions(methods=("Deepfakes",)), "method Deepfakes: not in"),
    ],
)
def test_faults(plant, names, options, message):
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant(*names), options)
