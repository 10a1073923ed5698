from __future__ import annotations

import pytest

from focus.data.corpora.monfap import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError


@pytest.fixture
def root(plant):
    lines = "Image/{0}/target/7/{1}.png 1\nImage/{0}/source/7/{1}.png 0\n"
    for name, part in (("train", "train"), ("valid", "val"), ("test", "test")):
        plant(f"Pixel_FFIW10K/{name}.txt", text=lines.format(part, 3))
    plant("Pixel_FFIW10K/test_augv1.txt", text=lines.format("test_augv1", 3))
    lines = "Image/Train/a b.jpg 1\nImage/Train/c.jpg 0\n"
    return plant("Pixel_OpenForensics/train.txt", text=lines)


def test_rows(root):
    index = CORPUS.scan(root, ScanOptions())
    rows = [(face.path, face.label, face.split, face.method, face.video) for face in index]
    frames, images = "Pixel_FFIW10K/Image", "Pixel_OpenForensics/Image/Train"
    expected = []
    for part in ("test", "train", "val"):
        target, source = f"{frames}/{part}/target/7", f"{frames}/{part}/source/7"
        expected.append((f"{target}/3.png", 1, part, "FFIW10K", target))
        expected.append((f"{source}/3.png", 0, part, "", source))
    expected.append((f"{images}/a b.jpg", 1, "train", "OpenForensics", ""))
    expected.append((f"{images}/c.jpg", 0, "train", "", ""))
    assert rows == expected
    masks = dict(zip(index.keys, index.column("mask"), strict=True))
    assert masks[f"{images}/a b.jpg"] == "Pixel_OpenForensics/Mask/Train/a b.png"
    assert masks[f"{images}/c.jpg"] == ""


def test_no_video_is_in_two_splits(root):
    index = CORPUS.scan(root, ScanOptions())
    pairs = set(zip(index.column("video"), index.column("split"), strict=True))
    videos = [video for video, _ in pairs if video]
    assert len(videos) == len(set(videos)) == 6


def test_flat_folders_are_not_videos(plant):
    lines = "Image/val/source/v1_3.png 0\nImage/val/target/v1_3.png 1\nImage/tiktok/v1_3.png 0\n"
    index = CORPUS.scan(plant("valid.txt", text=lines), ScanOptions())
    assert set(index.column("video")) == {""}
    assert index[1].mask == "Mask/val/target/v1_3.png"


def test_an_image_in_train_and_test_is_refused_with_both_places(plant):
    plant("test.txt", text="Image/a.png 0\nImage/b.png 0\n")
    root = plant("train.txt", text="Image/c.png 1\nImage/b.png 0\n")
    with pytest.raises(
        InputError, match=r"train.txt: line 2 repeats Image/b.png, first in .*test.txt: line 2"
    ):
        CORPUS.scan(root, ScanOptions())


def test_another_folder_is_refused(plant):
    with pytest.raises(InputError, match=r"not MoNFAP: no train.txt.*Pixel_FFIW10K/"):
        CORPUS.scan(plant("train_augv1.txt", text="Image/a.png 0"), ScanOptions())
