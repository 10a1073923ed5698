from __future__ import annotations

import pytest

from focus.data.index import Face, FaceIndex
from focus.data.splits import split_index
from focus.errors import InputError


@pytest.mark.parametrize(
    ("splits", "labels", "message"),
    [
        (["train", "train"], [0, 1], "no 'val' rows"),
        (["val", "val"], [0, 1], "no 'train' rows"),
        (["", ""], [0, 1], "no split column"),
        (["train", "train", "val"], [0, 1, 1], "val split has no real face"),
        (["train", "val", "val"], [1, 0, 1], "train split has no real face"),
        (["train", "val"], [-1, -1], "no face has a label"),
        (["train", "train", "test", "test"], [0, 1, 0, 1], "models are never selected on test"),
    ],
)
def test_unusable_splits_are_one_line(splits, labels, message):
    faces = [
        Face(f"{k}.png", label, split)
        for k, (split, label) in enumerate(zip(splits, labels, strict=True))
    ]
    with pytest.raises(InputError, match=message):
        split_index(FaceIndex.of(faces, "."), 0.0, 0)


def test_hold_out_keeps_videos_whole():
    faces = [Face(f"{k}.png", k % 2, video=f"v{k // 4}") for k in range(400)]
    train, val = split_index(FaceIndex.of(faces, "."), 0.3, 0)
    assert not set(train.column("video")) & set(val.column("video"))
    assert 60 < len(val) < 180
    assert len(train) + len(val) == 400


def test_hold_out_depends_on_the_seed_and_not_on_other_rows():
    faces = [Face(f"{k}.png", k % 2, video=f"v{k // 4}") for k in range(400)]
    whole = split_index(FaceIndex.of(faces, "."), 0.3, 0)[1]
    half = split_index(FaceIndex.of(faces[:200], "."), 0.3, 0)[1]
    assert list(half.keys) == [key for key in whole.keys if int(key[:-4]) < 200]
    assert list(split_index(FaceIndex.of(faces, "."), 0.3, 1)[1].keys) != list(whole.keys)
