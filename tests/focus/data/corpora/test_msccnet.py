from __future__ import annotations

import pytest

from focus.data.corpora.msccnet import CORPUS
from focus.data.corpus import ScanOptions
from focus.errors import InputError


@pytest.fixture
def root(plant):
    for kind, method in (("DF", "Deepfakes"), ("NT", "NeuralTextures")):
        for level in ("C23", "C40"):
            for pair in ("000_003", "003_000", "500_501", "900_901"):
                frames = (f"{kind}/{level}/youtube/{pair[:3]}", f"{kind}/{level}/{method}/{pair}")
                plant(*(f"{frame}/0{number}.png" for frame in frames for number in (0, 20)))
                plant(f"{kind}/Mask/{method}/{pair}/00.png", f"{kind}/Mask/{method}/{pair}/020.png")
    plant("NT/C23/youtube/000/040.png")  # a frame that only the second type has
    plant("train.txt", text="000_003\n003_000\n")
    plant("valid.txt", text="500_501\n")
    return plant("test.txt", text="\n")


def test_rows_of_a_fake(root):
    faces = {face.path: face for face in CORPUS.scan(root, ScanOptions())}
    face = faces["DF/C23/Deepfakes/000_003/00.png"]
    assert (face.label, face.split, face.method) == (1, "train", "Deepfakes")
    assert face.video == "Deepfakes/000_003"
    assert face.mask == "DF/Mask/Deepfakes/000_003/00.png"
    assert face.original == "DF/C23/youtube/000/00.png"
    assert face.extra == {"target": "000", "source": "003"}
    twin = faces["NT/C23/NeuralTextures/000_003/020.png"]
    assert (twin.mask, twin.original) == (
        "NT/Mask/NeuralTextures/000_003/020.png",
        "NT/C23/youtube/000/020.png",
    )


def test_a_real_frame_with_several_copies_is_one_row(root):
    index = CORPUS.scan(root, ScanOptions()).where(label=0)
    assert [(face.path, face.split, face.video) for face in index] == [
        ("DF/C23/youtube/000/00.png", "train", "youtube/000"),
        ("DF/C23/youtube/000/020.png", "train", "youtube/000"),
        ("DF/C23/youtube/003/00.png", "train", "youtube/003"),
        ("DF/C23/youtube/003/020.png", "train", "youtube/003"),
        ("DF/C23/youtube/500/00.png", "val", "youtube/500"),
        ("DF/C23/youtube/500/020.png", "val", "youtube/500"),
        ("DF/C23/youtube/900/00.png", "", "youtube/900"),
        ("DF/C23/youtube/900/020.png", "", "youtube/900"),
        ("NT/C23/youtube/000/040.png", "train", "youtube/000"),
    ]


def test_no_video_in_two_splits(root):
    index = CORPUS.scan(root, ScanOptions())
    places = set(zip(index.column("video"), index.column("split"), strict=True))
    assert len({video for video, _ in places}) == len(places)


def test_options(root):
    index = CORPUS.scan(root, ScanOptions("c40", ("neuraltextures",)))
    assert {path.split("/")[1] for path in index.keys} == {"C40"}
    assert set(index.column("method")) == {"", "NeuralTextures"}
    with pytest.raises(InputError, match=r"compression raw: not in .*available: c23, c40"):
        CORPUS.scan(root, ScanOptions("raw"))


def test_the_root_may_be_the_folder_of_a_type_with_its_own_lists(plant, root):
    plant("DF/test.txt", text="000_003\n")
    index = CORPUS.scan(root / "DF", ScanOptions())
    splits = dict(zip(index.keys, index.column("split"), strict=True))
    assert splits["C23/Deepfakes/000_003/00.png"] == splits["C23/youtube/000/00.png"] == "test"
    assert splits["C23/Deepfakes/003_000/00.png"] == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.txt", "000_003\nDeepfakes/000", "train.txt: line 2 must be the name of a fake"),
        ("test.txt", "000_999", "000 is in .* in another list"),
        ("DF/C23/FaceSwapper/a", "", "FaceSwapper: not an MSCCNet method .known: youtube, Deepf"),
    ],
)
def test_faults(plant, root, name, text, message):
    plant(name, text=text)
    with pytest.raises(InputError, match=message):
        CORPUS.scan(root, ScanOptions())


def test_another_folder_and_missing_lists_are_refused(plant):
    with pytest.raises(InputError, match="not MSCCNet: no folder <type>/C0"):
        CORPUS.scan(plant("real/a.png"), ScanOptions())
    with pytest.raises(InputError, match=r"DF: no train.txt, valid.txt or test.txt, here or in"):
        CORPUS.scan(plant("DF/C0/youtube/000/0.png"), ScanOptions())


def test_published_counts_are_those_of_the_table():
    def count(split, method):
        return CORPUS.published[f"{split} fake {method}"]

    table = {
        "Deepfakes": (28756, 5560, 5560),
        "Face2Face": (28724, 5522, 5560),
        "FaceSwap": (28760, 5560, 5560),
        "FaceShifter": (28760, 5560, 5560),
        "NeuralTextures": (28724, 5522, 5560),
    }
    for method, images in table.items():
        assert tuple(2 * count(split, method) for split in ("train", "val", "test")) == images
    assert sum(2 * count("train", method) for method in table) == 143724
