from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from focus.data.corpora.faceforensics import CORPUS
from focus.data.corpus import ScanOptions
from focus.data.images import count_frames
from focus.data.index import FaceIndex
from focus.errors import InputError

Plant = Callable[..., Path]
PAIRS = {"train": [["000", "003"]], "val": [["010", "011"]], "test": [["953", "974"]]}


def plant_lists(plant: Plant, folder: str = "splits/", **pairs: object) -> Path:
    for split, content in {**PAIRS, **pairs}.items():
        root = plant(f"{folder}{split}.json", text=json.dumps(content))
    return root


@pytest.fixture
def root(plant: Plant) -> Path:
    """Write all listed videos, at c23, of Deepfakes and FaceShifter; and DFD."""
    ids = [one for pairs in PAIRS.values() for pair in pairs for one in pair]
    plant(*(f"original_sequences/youtube/c23/videos/{one}.mp4" for one in ids))
    for a, b in (pair for pairs in PAIRS.values() for pair in pairs):
        for name in (f"{a}_{b}", f"{b}_{a}"):
            plant(f"manipulated_sequences/Deepfakes/c23/videos/{name}.mp4")
            plant(f"manipulated_sequences/Deepfakes/masks/videos/{name}.mp4")
            plant(f"manipulated_sequences/FaceShifter/c23/videos/{name}.mp4")
    plant("original_sequences/actors/c23/videos/01__walking_down.mp4")
    fake = "01_02__walking_down__YVGY8LOK.mp4"
    plant(f"manipulated_sequences/DeepFakeDetection/c23/videos/{fake}")
    plant(f"manipulated_sequences/DeepFakeDetection/masks/videos/{fake}")
    plant("original_sequences/youtube/raw/videos/000.mp4")
    return plant_lists(plant)


def scan(root: Path, compression: str = "", *methods: str) -> FaceIndex:
    return CORPUS.scan(root, ScanOptions(compression, methods))


def by_path(index: FaceIndex) -> dict[str, tuple[int, str, str]]:
    return {face.path: (face.label, face.split, face.method) for face in index}


def test_rows_of_the_published_layout(root: Path) -> None:
    index = scan(root)
    faces = {face.path: face for face in index}
    assert len(faces) == 6 + 1 + 6 + 6 + 1
    assert all(count_frames(root / path) == 3 for path in faces)
    real = faces["original_sequences/youtube/c23/videos/003.mp4"]
    assert (real.label, real.split, real.method, real.mask) == (0, "train", "", "")
    assert real.original == ""
    assert real.video == "original_sequences/youtube/c23/videos/003"
    assert real.extra == {"target": "003", "source": ""}
    # In both orders, each with the real video of the person shown.
    for target, source in (("000", "003"), ("003", "000")):
        fake = faces[f"manipulated_sequences/Deepfakes/c23/videos/{target}_{source}.mp4"]
        assert (fake.label, fake.split, fake.method) == (1, "train", "Deepfakes")
        assert fake.original == f"original_sequences/youtube/c23/videos/{target}.mp4"
        assert fake.mask == f"manipulated_sequences/Deepfakes/masks/videos/{target}_{source}.mp4"
        assert fake.extra == {"target": target, "source": source}
    assert faces["manipulated_sequences/Deepfakes/c23/videos/011_010.mp4"].split == "val"
    shifted = faces["manipulated_sequences/FaceShifter/c23/videos/974_953.mp4"]
    assert (shifted.split, shifted.mask) == ("test", "")


def test_deepfakedetection_is_test_data_with_its_actor_as_original(root: Path) -> None:
    real, fake = scan(root, "", "DFD")
    assert real.path == "original_sequences/actors/c23/videos/01__walking_down.mp4"
    assert (real.label, real.split, real.extra["target"]) == (0, "test", "01")
    assert (fake.label, fake.split, fake.method) == (1, "test", "DeepFakeDetection")
    assert fake.original == real.path
    assert fake.mask.endswith("DeepFakeDetection/masks/videos/01_02__walking_down__YVGY8LOK.mp4")
    assert fake.extra == {"target": "01", "source": "02"}


def test_no_video_and_no_person_is_in_two_splits(root: Path) -> None:
    index = scan(root, "", "DF", "FSh")
    split_of: dict[str, str] = {}
    for face in index:
        for name in filter(None, (face.video, face.extra["target"], face.extra["source"])):
            assert split_of.setdefault(name, face.split) == face.split
    assert len(set(index.column("video"))) == len(index)


def test_methods_by_name_or_short_name_bring_their_real_videos(root: Path) -> None:
    index = scan(root, "c23", "fsh", "Deepfakes")
    assert set(index.column("method")) == {"", "Deepfakes", "FaceShifter"}
    assert not any("actors" in path for path in index.keys)
    with pytest.raises(InputError, match=r"method XX: FaceForensics\+\+ has DF \(Deepfakes\)"):
        scan(root, "", "XX")
    with pytest.raises(InputError, match="manipulated_sequences/Face2Face: no folder c23/videos"):
        scan(root, "", "F2F", "DF")


def test_compression_chooses_the_folder(root: Path, plant: Plant) -> None:
    for name in ("raw", "c0"):
        rows = by_path(scan(root, name))
        assert ("original_sequences/youtube/raw/videos/000.mp4") in rows
        assert not any("c23" in path for path in rows)
    plant("manipulated_sequences/Deepfakes/c0/videos/000_003.mp4")
    (original,) = [face.original for face in scan(root, "raw") if face.path.endswith("000_003.mp4")]
    assert original == "original_sequences/youtube/raw/videos/000.mp4"
    with pytest.raises(InputError, match=r"not FaceForensics\+\+.*it has compression c0, c23, raw"):
        scan(root, "c40")
    with pytest.raises(InputError, match="compression c99: use raw, c23 or c40"):
        scan(root, "c99")


def test_listed_videos_are_rows_even_if_missing_and_unlisted_ones_have_no_split(
    root: Path, plant: Plant
) -> None:
    (root / "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4").unlink()
    plant("original_sequences/youtube/c23/videos/500.mp4")
    rows = by_path(scan(root))
    assert rows["manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"] == (
        1,
        "train",
        "Deepfakes",
    )
    assert rows["original_sequences/youtube/c23/videos/500.mp4"] == (0, "", "")


def test_lists_may_be_in_the_root(root: Path, plant: Plant) -> None:
    before = by_path(scan(root))
    for path in (root / "splits").iterdir():
        path.rename(root / path.name)
    (root / "splits").rmdir()
    assert by_path(scan(root)) == before
    (root / "val.json").unlink()
    with pytest.raises(
        InputError, match=r"val.json: no such file; copy the lists from dataset/splits"
    ):
        scan(root)
    assert len(scan(root, "", "DFD")) == 2  # which has no lists


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([["000", "011"]], r"val.json: entry 1 \(000\) is in train too"),
        ([["010", "011"], [20, 21]], r"val.json: entry 2 is not a pair of ids in quotes: \[20, 21"),
        ({"010": "011"}, "val.json: must be a list of pairs"),
    ],
)
def test_wrong_lists_are_refused(root: Path, plant: Plant, pairs: object, message: str) -> None:
    plant_lists(plant, val=pairs)
    with pytest.raises(InputError, match=message):
        scan(root)


def test_unknown_folders_are_refused(root: Path, plant: Plant, tmp_path: Path) -> None:
    plant("manipulated_sequences/MySwap/c23/videos/000_003.mp4")
    with pytest.raises(InputError, match=r"MySwap: not a FaceForensics\+\+ method; move it out"):
        scan(root)
    assert len(scan(root, "", "DF")) == 12
    with pytest.raises(InputError, match=r"splits: not FaceForensics\+\+: no original_sequences"):
        scan(root / "splits")


def test_a_tree_of_frames_gives_the_corpus_to_use(plant: Plant) -> None:
    root = plant("original_sequences/youtube/c23/frames/000/000.png")
    with pytest.raises(InputError, match="use the corpus deepfakebench"):
        scan(root)


def test_published_counts() -> None:
    published = CORPUS.published
    assert sum(published[f"{split} real"] for split in ("train", "val")) == 860
    fakes = [published[f"{split} fake NeuralTextures"] for split in ("train", "val", "test")]
    assert fakes == [720, 140, 140]
    assert published["test fake DeepFakeDetection"] == 3068
    assert CORPUS.unit == "video"
