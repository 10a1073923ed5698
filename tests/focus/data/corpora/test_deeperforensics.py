from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from focus.data.corpora.deeperforensics import CORPUS
from focus.data.corpus import ScanOptions
from focus.data.index import Face
from focus.errors import InputError

Plant = Callable[..., Path]
LISTS = {
    "train": "000_M101.mp4\n001_W102.mp4\n",
    "val": "end_to_end/002_M103.mp4\r\n\r\n",
    "test": "003_W102",
}


@pytest.fixture
def root(plant: Plant) -> Path:
    for split, text in LISTS.items():
        plant(f"lists/splits/{split}.txt", text=text)
    for name in ("000_M101", "001_W102", "002_M103", "003_W102"):
        plant(f"manipulated_videos/end_to_end/{name}.mp4")
        plant(f"manipulated_videos/reenact_postprocess/videos/{name}.mp4")
    plant("source_videos/M101/light_down/happy/camera_front.mp4")
    plant("source_videos/M101/light_up/happy/camera_front.mp4")
    return plant("source_videos/W102/a.mp4", "source_videos/M103/a.mp4", "source_videos/M104/a.mp4")


def scan(root: Path) -> dict[str, Face]:
    return {face.path: face for face in CORPUS.scan(root, ScanOptions())}


def test_rows_of_all_variants(root: Path) -> None:
    faces = scan(root)
    fakes = {
        path: (face.split, face.method, face.extra["target"], face.extra["source"])
        for path, face in faces.items()
        if face.label == 1
    }
    first, second = "manipulated_videos/end_to_end", "manipulated_videos/reenact_postprocess/videos"
    for folder, method in ((first, "end_to_end"), (second, "reenact_postprocess")):
        assert fakes.pop(f"{folder}/000_M101.mp4") == ("train", method, "000", "M101")
        assert fakes.pop(f"{folder}/001_W102.mp4") == ("train", method, "001", "W102")
        assert fakes.pop(f"{folder}/002_M103.mp4") == ("val", method, "002", "M103")
        assert fakes.pop(f"{folder}/003_W102.mp4") == ("test", method, "003", "W102")
    assert not fakes
    assert len({face.video for face in faces.values()}) == len(faces) == 8 + 5
    assert not any(face.original or face.mask for face in faces.values())


def test_a_recording_follows_its_actor_unless_split(root: Path) -> None:
    reals = {face.path: face for face in scan(root).values() if face.label == 0}
    assert {path: (face.split, face.extra["target"]) for path, face in reals.items()} == {
        "source_videos/M101/light_down/happy/camera_front.mp4": ("train", "M101"),
        "source_videos/M101/light_up/happy/camera_front.mp4": ("train", "M101"),
        "source_videos/M103/a.mp4": ("val", "M103"),
        "source_videos/M104/a.mp4": ("", "M104"),
        "source_videos/W102/a.mp4": ("", "W102"),
    }


def test_listed_videos_are_rows_even_if_missing(root: Path, plant: Plant) -> None:
    (root / "manipulated_videos/end_to_end/000_M101.mp4").unlink()
    plant("manipulated_videos/end_to_end/999_M101.mp4")
    faces = scan(root)
    assert faces["manipulated_videos/end_to_end/000_M101.mp4"].split == "train"
    assert faces["manipulated_videos/end_to_end/999_M101.mp4"].split == ""


def test_methods_are_variants(root: Path) -> None:
    index = CORPUS.scan(root, ScanOptions("", ("end_to_end",)))
    assert len(index) == 5 + 4
    with pytest.raises(InputError, match=r"method x: not in .*available: end_to_end, reenact_post"):
        CORPUS.scan(root, ScanOptions("", ("x",)))


def test_wrong_lists_and_folders_are_refused(root: Path, plant: Plant) -> None:
    plant("lists/splits/test.txt", text="003_W102.mp4\n000_M101.mp4\n")
    with pytest.raises(InputError, match=r"test.txt: line 2 \(000_M101\) is in train.txt too"):
        scan(root)
    plant("lists/splits/test.txt", text="003.mp4\n")
    with pytest.raises(
        InputError, match=r"test.txt: line 1 is not <target>_<actor>.mp4: '003.mp4'"
    ):
        scan(root)
    (root / "lists/splits/test.txt").unlink()
    with pytest.raises(InputError, match=r"test.txt: cannot be read"):
        scan(root)
    with pytest.raises(InputError, match=r"lists: not DeeperForensics-1.0: no folder manipulated"):
        scan(root / "lists")
