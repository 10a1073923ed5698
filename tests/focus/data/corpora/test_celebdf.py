from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from focus.data.corpora.celebdf import CORPUS, CORPUS_V1, LIST
from focus.data.corpus import ScanOptions
from focus.data.images import count_frames
from focus.data.index import Face
from focus.errors import InputError

Plant = Callable[..., Path]
# As published: flag 1 marks real videos.
LINES = "1 Celeb-real/id0_0000.mp4\n1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
VIDEOS = (
    "Celeb-real/id0_0000.mp4",
    "Celeb-real/id1_0007.mp4",
    "YouTube-real/00170.mp4",
    "YouTube-real/00003.mp4",
    "Celeb-synthesis/id0_id1_0000.mp4",
    "Celeb-synthesis/id1_id0_0007.mp4",
)


@pytest.fixture
def root(plant: Plant) -> Path:
    plant(*VIDEOS)
    return plant(LIST, text=LINES)


def scan(root: Path) -> dict[str, Face]:
    return {face.path: face for face in CORPUS.scan(root, ScanOptions())}


def test_rows_and_the_inverted_flags(root: Path) -> None:
    faces = scan(root)
    assert {path: (face.label, face.split) for path, face in faces.items()} == {
        "Celeb-real/id0_0000.mp4": (0, "test"),
        "Celeb-real/id1_0007.mp4": (0, "train"),
        "YouTube-real/00170.mp4": (0, "test"),
        "YouTube-real/00003.mp4": (0, "train"),
        "Celeb-synthesis/id0_id1_0000.mp4": (1, "test"),
        "Celeb-synthesis/id1_id0_0007.mp4": (1, "train"),
    }
    assert all(count_frames(root / path) == 3 for path in faces)
    fake = faces["Celeb-synthesis/id1_id0_0007.mp4"]
    assert (fake.method, fake.mask) == ("Celeb-synthesis", "")
    assert fake.original == "Celeb-real/id1_0007.mp4"
    assert fake.extra == {"target": "id1", "source": "id0"}
    real = faces["Celeb-real/id1_0007.mp4"]
    assert (real.method, real.original, real.extra["target"]) == ("", "", "id1")
    assert real.video == "Celeb-real/id1_0007"
    assert len({face.video for face in faces.values()}) == 6


def test_the_first_version_is_read_the_same_way(root: Path) -> None:
    first, second = (corpus.scan(root, ScanOptions()) for corpus in (CORPUS_V1, CORPUS))
    assert first.fingerprint() == second.fingerprint()
    assert CORPUS_V1.name == "cdf1"


def test_variants_of_the_layout(plant: Plant) -> None:
    for name in VIDEOS:
        folder, file = name.replace("YouTube", "Youtube").split("/")
        plant(f"{folder}/videos/{file}")
    # Written on Windows: a byte-order mark, line ends, a blank line.
    root = plant(LIST, text="\ufeff" + LINES.replace("\n", "\r\n") + "\r\n")
    faces = scan(root)
    assert len(faces) == 6
    video = faces["Youtube-real/videos/00170.mp4"]
    assert (video.label, video.split) == (0, "test")
    fake = faces["Celeb-synthesis/videos/id0_id1_0000.mp4"]
    assert fake.original == "Celeb-real/videos/id0_0000.mp4"


def test_missing_videos_are_rows_and_missing_folders_are_not(root: Path) -> None:
    (root / "YouTube-real/00170.mp4").unlink()
    for name in ("id0_0000.mp4", "id1_0007.mp4"):
        (root / "Celeb-real" / name).unlink()
    (root / "Celeb-real").rmdir()
    faces = scan(root)
    assert faces["YouTube-real/00170.mp4"].split == "test"
    assert not any(path.startswith("Celeb-real") for path in faces)
    assert faces["Celeb-synthesis/id0_id1_0000.mp4"].original == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 Celeb-real/id1_0007.mp4", "line 4 has flag 0, which contradicts Celeb-real; 1 = real"),
        (
            "1 Celeb-synthesis/id1_id0_0007.mp4",
            "line 4 has flag 1, which contradicts Celeb-synthesis",
        ),
        ("2 Celeb-real/id1_0007.mp4", "line 4 starts with '2'; it must be 1"),
        ("1 Celeb/id1_0007.mp4", "line 4 does not name a video in a Celeb-DF folder"),
        ("1 Celeb-real/", "line 4 does not name a video in a Celeb-DF folder"),
        ("1 Celeb-real/id0_0000.mp4", "line 4 repeats Celeb-real/id0_0000.mp4"),
    ],
)
def test_wrong_lines_are_refused(root: Path, plant: Plant, line: str, message: str) -> None:
    plant(LIST, text=LINES + line + "\n")
    with pytest.raises(InputError, match=f"{LIST}: {message}"):
        scan(root)


def test_wrong_folders_and_options_are_refused(root: Path, plant: Plant) -> None:
    with pytest.raises(InputError, match="Celeb-real: not Celeb-DF: no folder Celeb-real, You"):
        scan(root / "Celeb-real")
    with pytest.raises(InputError, match=r"compression c40: .* has no compression levels"):
        CORPUS.scan(root, ScanOptions("c40"))
    with pytest.raises(InputError, match=r"method FSGAN: not in .* \(available: Celeb-synthesis\)"):
        CORPUS.scan(root, ScanOptions("", ("FSGAN",)))
    assert len(CORPUS.scan(root, ScanOptions("", ("celeb-synthesis",)))) == 6
    plant("youtube-real/00001.mp4")
    with pytest.raises(InputError, match="has both YouTube-real and youtube-real; merge them"):
        scan(root)
    (root / LIST).unlink()
    (root / "youtube-real/00001.mp4").unlink()
    (root / "youtube-real").rmdir()
    with pytest.raises(InputError, match=f"{LIST}: cannot be read"):
        scan(root)


def test_published_counts() -> None:
    published = CORPUS.published
    assert published["real"] == 590 + 300
    assert published["fake"] == 5639
    assert published["test"] == 518
