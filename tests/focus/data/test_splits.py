from __future__ import annotations

import numpy as np
import pytest

from focus.data.index import Face, FaceIndex
from focus.data.splits import assign_splits, split_index
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


SHARES = (0.7, 0.15, 0.15)


def split_of(faces, shares=SHARES, by="video", seed=0):
    """Return key -> split, and the lines."""
    found, lines = assign_splits(FaceIndex.of(faces, "."), shares, by, seed)
    return dict(zip(found.keys, found.column("split"), strict=True)), lines


def crossing(faces, splits, name):
    """Return the values of a column that are in more than one split."""
    seen = {}
    for face in faces:
        value = face.extra.get(name, "") or getattr(face, name, "")
        seen.setdefault(value, set()).add(splits[face.path])
    return [value for value, found in seen.items() if len(found) > 1]


def test_shares_are_realised_for_both_labels_and_no_video_is_cut():
    rng = np.random.default_rng(0)
    faces = [
        Face(f"{video}/{k}.png", int(video % 3 == 0), video=f"v{video}")
        for video in range(120)
        for k in range(rng.integers(1, 30))
    ]
    splits, lines = split_of(faces)
    assert crossing(faces, splits, "video") == []
    for label in (0, 1):
        own = [splits[face.path] for face in faces if face.label == label]
        realised = [own.count(name) / len(own) for name in ("train", "val", "test")]
        # A unit is at most 30 faces; the last ones to be assigned are small.
        assert np.allclose(realised, SHARES, atol=0.02)
    assert len(lines) == 1
    assert lines[0].startswith("split by video, seed 0: train 7")


def test_the_seed_decides_which_videos_and_equal_seeds_agree():
    faces = [Face(f"{k}.png", k // 2 % 2, video=f"v{k // 4}") for k in range(400)]
    splits = [split_of(faces, seed=seed)[0] for seed in (0, 0, 1)]
    assert splits[0] == splits[1]
    assert sum(splits[0][key] != splits[2][key] for key in splits[0]) > 100


def test_a_fake_stays_with_its_original_and_fakes_of_one_original_together():
    pairs = [Face(f"real/{k}.png", 0, video=f"r{k}") for k in range(30)]
    pairs += [
        Face(f"fake/{k}-{n}.png", 1, video=f"f{k}-{n}", original=f"./real/{k}.png")
        for k in range(40)  # the originals of the last ten are not in the index
        for n in range(3)
    ]
    splits, _ = split_of(pairs)
    for k in range(40):
        own = {splits[f"fake/{k}-{n}.png"] for n in range(3)} | {splits.get(f"real/{k}.png")}
        assert len(own - {None}) == 1


def test_frames_and_faces_of_a_file_stay_together_without_a_video_column():
    faces = [
        Face(f"{clip}.mp4#{frame}.{face}", clip % 2)
        for clip in range(12)
        for frame in range(3)
        for face in range(2)
    ]
    faces += [Face(f"a.tar!/{k}.png", k % 2) for k in range(12)]
    splits, _ = split_of(faces, (0.5, 0.25, 0.25))
    for clip in range(12):
        assert len({splits[face.path] for face in faces if face.path.startswith(f"{clip}.")}) == 1
    assert len({splits[f"a.tar!/{k}.png"] for k in range(12)}) > 1  # members are files


def test_a_person_in_any_of_its_columns_is_on_one_side():
    def of(k, source, **columns):
        extra = {"target": f"p{k}", "source": f"p{source}"}
        return Face(f"{k}-{source}.png", 1, video=f"{k}-{source}", extra=extra, **columns)

    faces = [Face(f"{k}.png", 0, video=f"{k}", extra={"target": f"p{k}"}) for k in range(40)]
    faces += [of(k, k ^ 1) for k in range(40)]
    splits, lines = split_of(faces, by="person")
    for k in range(0, 40, 2):
        names = (f"{k}.png", f"{k + 1}.png", f"{k}-{k + 1}.png", f"{k + 1}-{k}.png")
        assert len({splits[name] for name in names}) == 1
    assert "20 units" not in lines[0]
    assert lines[0].count("unit") == 3


def test_a_folder_is_on_one_side_whatever_its_class_folder():
    faces = [
        Face(f"{label}/{folder}/{k}.png", int(label == "Fake"))
        for label in ("Real", "Fake")
        for folder in range(20)
        for k in range(3)
    ]
    splits, _ = split_of(faces, by="folder")
    for folder in range(20):
        own = {splits[face.path] for face in faces if face.path.split("/")[1] == str(folder)}
        assert len(own) == 1


def test_every_split_with_a_share_gets_a_unit_or_it_is_one_line():
    faces = [Face(f"{k}.png", k % 2, video=f"v{k // 100}") for k in range(300)]
    assert set(split_of(faces, (0.98, 0.01, 0.01))[0].values()) == {"train", "val", "test"}
    assert set(split_of(faces, (0.5, 0.5, 0))[0].values()) == {"train", "val"}
    with pytest.raises(InputError, match="3 splits of 2 units by video: the faces of a video"):
        split_of(faces[:200])


def test_a_class_that_a_split_lacks_is_named():
    faces = [Face(f"{k}.png", int(k == 9)) for k in range(10)]
    lines = split_of(faces, (0.5, 0.3, 0.2))[1]
    assert len(lines) == 3
    assert all("split has no fake face" in line for line in lines[1:])
    unknown = [Face(f"{k}.png") for k in range(10)]
    assert len(split_of(unknown, (0.5, 0.3, 0.2))[1]) == 1
