from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from focus.data.corpora.wilddeepfake import CORPUS
from focus.data.corpus import ScanOptions
from focus.data.images import UnreadableError, read_face
from focus.data.index import FaceIndex
from focus.errors import InputError

Plant = Callable[..., Path]
BASE = "deepfake_in_the_wild"


def scan(root: Path) -> FaceIndex:
    return CORPUS.scan(root, ScanOptions())


def plant_archive(plant: Plant, name: str, kind: str, *frames: str) -> Path:
    number = name.rpartition("/")[2].partition(".")[0]
    members = tuple(f"./{number}/{kind}/{frame}.png" for frame in frames)
    return plant(name, members=members)


@pytest.fixture
def root(plant: Plant) -> Path:
    plant_archive(plant, f"{BASE}/fake_train/12.tar.gz", "fake", "3/10", "3/9", "10/1", "3/100")
    plant_archive(plant, f"{BASE}/fake_train/2.tar.gz", "fake", "3/9")
    plant_archive(plant, f"{BASE}/fake_test/12.tar.gz", "fake", "3/9")
    plant_archive(plant, f"{BASE}/real_train/12.tar.gz", "real", "3/9")
    return plant_archive(plant, f"{BASE}/real_test/12.tar.gz", "real", "3/9")


def test_archives_are_read_in_place_in_order_of_the_numbers(root: Path) -> None:
    index = scan(root)
    assert index.where(split="train", label=1).keys == [
        f"{BASE}/fake_train/2.tar.gz!/2/fake/3/9.png",
        f"{BASE}/fake_train/12.tar.gz!/12/fake/3/9.png",
        f"{BASE}/fake_train/12.tar.gz!/12/fake/3/10.png",
        f"{BASE}/fake_train/12.tar.gz!/12/fake/3/100.png",
        f"{BASE}/fake_train/12.tar.gz!/12/fake/10/1.png",
    ]
    assert all(read_face(root, key).shape == (8, 8, 3) for key in index.keys)
    assert sorted(path.name for path in root.rglob("*.png")) == []


def test_label_and_split_come_from_the_folder_of_the_archive(root: Path) -> None:
    # The root's name contains fake, and so do all paths.
    rows = {(face.path.split("/")[1], face.label, face.split) for face in scan(root)}
    assert rows == {
        ("fake_train", 1, "train"),
        ("fake_test", 1, "test"),
        ("real_train", 0, "train"),
        ("real_test", 0, "test"),
    }


def test_sequences_are_unique_over_archives_and_splits(root: Path) -> None:
    index = scan(root)
    videos = dict(zip(index.keys, index.column("video"), strict=True))
    assert len(set(videos.values())) == 6
    assert videos[f"{BASE}/fake_train/12.tar.gz!/12/fake/3/100.png"] == "fake_train/12/fake/3"
    assert len(set(index.column("source"))) == 5
    splits: dict[str, str] = {}
    for face in index:
        assert splits.setdefault(face.video, face.split) == face.split


def test_unpacked_and_older_forms_give_the_same_videos(root: Path, plant: Plant) -> None:
    packed = scan(root)
    (root / BASE / "fake_train").rename(root / BASE / "fake train")
    (root / BASE / "fake train" / "2.tar.gz").unlink()
    plant(f"{BASE}/fake train/2/fake/3/9.png")
    (root / BASE / "real_test" / "12.tar.gz").unlink()
    plant(f"{BASE}/real_test/12/12/real/3/9.png")
    index = scan(root / BASE)  # without the folder above
    assert sorted(index.column("video")) == sorted(packed.column("video"))
    assert sorted(index.column("source")) == sorted(packed.column("source"))
    assert "fake train/2/fake/3/9.png" in index.keys
    assert all(read_face(root / BASE, key).shape == (8, 8, 3) for key in index.keys)


def test_an_archive_unpacked_next_to_itself_is_read_once(
    root: Path, plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(f"{BASE}/real_test/12/real/3/9.png", f"{BASE}/real_test/12/real/3/._9.png")
    index = scan(root)
    assert index.where(split="test", label=0).keys == [f"{BASE}/real_test/12/real/3/9.png"]
    assert "real_test: skipped 1 archive already unpacked there" in capsys.readouterr().err


def test_a_damaged_archive_is_a_row_with_the_reason(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / BASE / "fake_train" / "2.tar.gz"
    path.write_bytes(path.read_bytes()[:60])
    index = scan(root)
    (row,) = [face for face in index if "/2.tar.gz" in face.path]
    assert (row.label, row.split, row.video) == (1, "train", "fake_train/2")
    assert "2.tar.gz: the archive is damaged" in capsys.readouterr().err
    with pytest.raises(UnreadableError, match="damaged or truncated"):
        read_face(root, row.path)


def test_other_folders_are_refused(root: Path, plant: Plant) -> None:
    with pytest.raises(InputError, match="fake_train: not WildDeepfake: no folder real_train"):
        scan(root / BASE / "fake_train")
    plant("empty/fake_train/README.md", text="none yet")
    with pytest.raises(InputError, match=r"neither \*.tar.gz nor unpacked faces in fake_train"):
        scan(root / "empty")
    with pytest.raises(InputError, match=r"compression c23: .* has no compression levels"):
        CORPUS.scan(root, ScanOptions("c23"))
    with pytest.raises(InputError, match=r"method DF: not in .* .available: none."):
        CORPUS.scan(root, ScanOptions("", ("DF",)))


def test_rows_can_be_trained_on_and_sequences_are_what_was_published() -> None:
    assert CORPUS.unit == "face"
    assert CORPUS.published == {"real": 3805, "fake": 3509}
    assert CORPUS.counted == "videos"
