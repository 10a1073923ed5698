from __future__ import annotations

import pytest

from focus.data.corpora.manualfake import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError

LIST = "Image/untrans/v1/0.jpg 0\nImage/untrans/v2/0.jpg 1\n\n"


@pytest.fixture
def root(plant):
    plant("Image/untrans/v1/0.jpg", "Image/untrans/v2/0.jpg", "Mask/untrans/v2/0.png")
    plant("test_untrans.txt", text=LIST)
    return plant("test_tiktok.txt", text=LIST.replace("untrans", "tiktok"))


def test_rows(root):
    index = CORPUS.scan(root, ScanOptions())
    assert [(face.path, face.label, face.method, face.mask, face.video) for face in index] == [
        ("Image/tiktok/v1/0.jpg", 0, "", "", "Image/tiktok/v1"),
        ("Image/tiktok/v2/0.jpg", 1, "tiktok", "Mask/tiktok/v2/0.png", "Image/tiktok/v2"),
        ("Image/untrans/v1/0.jpg", 0, "", "", "Image/untrans/v1"),
        ("Image/untrans/v2/0.jpg", 1, "untrans", "Mask/untrans/v2/0.png", "Image/untrans/v2"),
    ]
    assert set(index.column("split")) == {"test"}
    assert index.column("channel") == ["tiktok", "tiktok", "untrans", "untrans"]


def test_a_channel_has_its_own_real_images(root):
    index = CORPUS.scan(root, ScanOptions(methods=("TikTok",)))
    assert index.keys == ["Image/tiktok/v1/0.jpg", "Image/tiktok/v2/0.jpg"]


def test_paths_may_begin_with_the_folder_of_the_list(plant):
    line = "Pixel_ManualFake\\Image\\untrans\\v2\\0.jpg 1"
    root = plant("Pixel_ManualFake/test_untrans.txt", text=line)
    for at, base in ((root, "Pixel_ManualFake/"), (root / "Pixel_ManualFake", "")):
        (face,) = CORPUS.scan(at, ScanOptions())
        assert (face.path, face.mask) == (
            f"{base}Image/untrans/v2/0.jpg",
            f"{base}Mask/untrans/v2/0.png",
        )


def test_a_path_that_is_absolute_becomes_relative_below_the_root(plant, tmp_path):
    lines = f"{tmp_path}/Image/a/b/0.jpg 1\n/elsewhere/Image/a/b/0.jpg 1\n"
    index = CORPUS.scan(plant("test_wechat.txt", text=lines), ScanOptions())
    assert index.keys == ["Image/a/b/0.jpg", "/elsewhere/Image/a/b/0.jpg"]
    assert index.column("mask") == ["Mask/a/b/0.png", "/elsewhere/Mask/a/b/0.png"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.txt", LIST, "not Manual-Fake .MoNFAP.: none of test_untrans.txt, test_facebook"),
        ("test_myspace.txt", LIST, "test_myspace.txt: unknown channel .known: untrans, facebook"),
        (
            "test_untrans.txt",
            "Image/a.jpg 2",
            "test_untrans.txt: line 1 must be a path and a label",
        ),
        ("test_untrans.txt", "Image/a.jpg", "line 1 must be a path and a label"),
        ("test_untrans.txt", "\nImages/a.jpg 1", "line 2: no folder Image in Images/a.jpg"),
        ("test_untrans.txt", LIST + LIST, "line 4 repeats Image/untrans/v1/0.jpg, first in"),
    ],
)
def test_faults(plant, name, text, message):
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant(name, text=text), ScanOptions())


def test_an_unknown_method_lists_the_available_channels(root):
    with pytest.raises(InputError, match=r"method facebook: not in .*available: tiktok, untrans"):
        CORPUS.scan(root, ScanOptions(methods=("facebook",)))
