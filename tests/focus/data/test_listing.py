"""Files of a folder or an archive become rows."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from focus.data.images import UnreadableError, read_face
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source, open_source
from focus.errors import InputError
from tests.focus.data.planted_files import put, put_clip, rows


def test_folder_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    put(
        tmp_path,
        "frame10.png",
        "frame2.JPG",
        "b/1.tiff",
        "._frame2.JPG",
        ".cache/x.png",
        "Ü 1#2.webp",
    )
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    index = open_source(Source(str(tmp_path)))
    assert index.root == tmp_path
    assert rows(index) == [
        ("b/1.tiff", -1, "b"),
        ("frame2.JPG", -1, ""),
        ("frame10.png", -1, ""),
        ("Ü 1#2.webp", -1, ""),
    ]
    assert [read_face(index.root, key).shape for key in index.keys] == [(8, 8, 3)] * 4


@pytest.mark.parametrize(("real", "fake"), [("real", "FAKE"), ("0_Real", "1_fake")])
def test_label_folders(real: str, fake: str, tmp_path: Path) -> None:
    put(tmp_path, f"{real}/7/1.png", f"{real}/8.png", f"{fake}/7/real/1.png", "other/2.png")
    assert sorted(rows(open_source(Source(str(tmp_path))))) == sorted(
        [
            (f"{real}/7/1.png", 0, f"{real}/7"),
            (f"{real}/8.png", 0, ""),
            (f"{fake}/7/real/1.png", 1, f"{fake}/7/real"),
            ("other/2.png", -1, "other"),
        ]
    )


def test_label_folders_may_lie_deeper_and_must_be_two(tmp_path: Path) -> None:
    put(tmp_path, "cat/0_real/1.png", "cat/1_fake/1.png", "unreal/realistic/1.png")
    labels = {face.path: face.label for face in open_source(Source(str(tmp_path)))}
    assert labels == {"cat/0_real/1.png": 0, "cat/1_fake/1.png": 1, "unreal/realistic/1.png": -1}
    shutil.rmtree(tmp_path / "cat" / "1_fake")
    assert set(open_source(Source(str(tmp_path))).labels) == {-1}


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path / "store", "1.png")
    data = put(tmp_path / "data", "real/2.png")
    (data / "fake").symlink_to(tmp_path / "store")
    (data / "real" / "up").symlink_to(data)
    (data / "self").symlink_to(".")
    assert rows(open_source(Source(str(data)))) == [("fake/1.png", 1, ""), ("real/2.png", 0, "")]


def test_folder_with_an_index_uses_it(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    FaceIndex.of([Face("b.png", 1, split="val")], tmp_path).write(tmp_path / "index.csv")
    assert rows(open_source(Source(str(tmp_path)))) == [("b.png", 1, "")]
    elsewhere = put(tmp_path / "elsewhere", "b.png")
    index = open_source(Source(str(tmp_path / "index.csv"), root=str(elsewhere)))
    assert index.root == elsewhere
    for data in (tmp_path, tmp_path / "index.csv"):
        with pytest.raises(InputError, match=r"--root .*nope: no such folder"):
            open_source(Source(str(data), root=str(tmp_path / "nope")))
        with pytest.raises(InputError, match="already lists the faces"):
            open_source(Source(str(data), crop="faces"))


def test_a_folder_of_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_clip(tmp_path / "real" / "1.mp4", 12)
    put_clip(tmp_path / "fake" / "1.mp4", 3)
    (tmp_path / "fake" / "2.mp4").write_bytes(b"broken")
    index = open_source(Source(str(tmp_path)))
    assert rows(index) == [
        ("fake/1.mp4#0", 1, "fake/1"),
        ("fake/2.mp4#0", 1, "fake/2"),
        ("real/1.mp4#0", 0, "real/1"),
        ("real/1.mp4#10", 0, "real/1"),
    ]
    assert "cannot read" in capsys.readouterr().err
    with pytest.raises(UnreadableError, match="not a video"):  # reported again by later readers
        read_face(tmp_path, "fake/2.mp4#0")
    put(tmp_path, "cover.png")
    assert open_source(Source(str(tmp_path))).keys == ["cover.png"]
    assert "uses the 1 image, not the 3 videos" in capsys.readouterr().err


@pytest.mark.usefixtures("bright")
def test_an_unreadable_image_keeps_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "a.png", "c.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    index = open_source(Source(str(tmp_path), crop="faces"))
    assert index.keys == ["a.png#0.0", "a.png#0.1", "b.png", "c.png#0.0", "c.png#0.1"]
    assert "b.png: truncated" in capsys.readouterr().err


@pytest.mark.usefixtures("bright")
def test_only_unreadable_things(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"cannot read .*a\.jpg: its header .*\(and 1 more\)"):
        open_source(Source(str(tmp_path), crop="faces"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot read .*a\.mp4: the file is empty$"):
        open_source(Source(str(tmp_path / "videos")))


def test_an_archive_of_images(tmp_path: Path) -> None:
    put(tmp_path / "in", "./7/real/0/10.png", "7/real/0/2.png", "7/fake/1.png", "readme.txt")
    with tarfile.open(tmp_path / "7.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "in", ".")
    index = open_source(Source(str(tmp_path / "7.tar.gz")))
    assert rows(index) == [
        ("7.tar.gz!/7/fake/1.png", 1, ""),
        ("7.tar.gz!/7/real/0/2.png", 0, "7/real/0"),
        ("7.tar.gz!/7/real/0/10.png", 0, "7/real/0"),
    ]
    assert read_face(index.root, index.keys[0]).shape == (8, 8, 3)
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "7.tar.gz").read_bytes()[:150])
    with pytest.raises(InputError, match=r"cut\.tar\.gz: the archive is damaged"):
        open_source(Source(str(tmp_path / "cut.tar.gz")))


def test_image_files_that_are_not_read_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "a", "1.png", "2.gif", "3.avif", "4.heic", "5.jp2", "6.jxl", "7.CR2", "b.txt")
    index = open_source(Source(str(tmp_path / "a")))
    assert list(index.keys) == ["1.png", "2.gif", "3.avif", "4.heic", "5.jp2"]
    line = "skips 2 image files in unsupported formats (6.jxl, 7.CR2); convert to PNG"
    assert capsys.readouterr().err == f"{tmp_path / 'a'}: {line}\n"
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(tmp_path / "a" / "1.png", "1.png")
        archive.add(tmp_path / "a" / "6.jxl", "6.jxl")
    assert len(open_source(Source(str(tmp_path / "b.tar")))) == 1
    line = "skips 1 image file in unsupported formats (6.jxl); convert to PNG"
    assert capsys.readouterr().err == f"{tmp_path / 'b.tar'}: {line}\n"


def test_folders_of_an_image_folder_give_split_and_label(tmp_path: Path) -> None:
    put(
        tmp_path / "set",
        "Train/real/1.png",
        "Train/fake/2.png",
        "valid/fake/3.png",
        "test/real/4.png",
    )
    index = open_source(Source(str(tmp_path / "set")))
    found = dict(
        zip(index.keys, zip(index.column("split"), index.labels, strict=True), strict=True)
    )
    assert found == {
        "Train/real/1.png": ("train", 0),
        "Train/fake/2.png": ("train", 1),
        "valid/fake/3.png": ("val", 1),
        "test/real/4.png": ("test", 0),
    }
    put(tmp_path / "set", "more/real/5.png")  # not all files are below a split
    assert not any(open_source(Source(str(tmp_path / "set"))).column("split"))
