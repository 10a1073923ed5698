"""Faces that two indexes share, however they are named, linked, copied or packed."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile

import cv2
import numpy as np
import pytest

from focus.data import overlap
from focus.data.index import Face, FaceIndex
from focus.data.overlap import FileTable, find_overlap, find_similar

SIDE = 96


def draw(seed):
    """An image of smooth random blobs: no two look alike."""
    noise = np.random.default_rng(seed).normal(size=(9, 9, 3)).astype(np.float32)
    smooth = cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8)


def write_images(folder, seeds):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        cv2.imwrite(str(folder / f"{seed}.png"), draw(seed))
    return folder


def index_of(root, paths, videos=None):
    videos = videos or [""] * len(paths)
    return FaceIndex.of([Face(p, 1, video=v) for p, v in zip(paths, videos, strict=True)], root)


def found(one, other):
    return find_overlap(FileTable(one), FileTable(other))


@pytest.fixture
def known(tmp_path):
    root = write_images(tmp_path / "train", range(4))
    return index_of(root, [f"{seed}.png" for seed in range(4)])


def test_other_faces_share_nothing(known, tmp_path):
    root = write_images(tmp_path / "test", range(10, 14))
    assert found(known, index_of(root, [f"{seed}.png" for seed in range(10, 14)])) is None


def by_another_spelling(root, tmp_path):
    return index_of(tmp_path, ["train/../train/./1.png", "train/2.png"])


def by_the_frame_of_a_still(root, tmp_path):
    return index_of(root, ["1.png#0", "2.png#0"])


def by_a_link(root, tmp_path):
    (tmp_path / "links").mkdir()
    for name in ("1", "2"):
        (tmp_path / "links" / f"{name}x.png").symlink_to(root / f"{name}.png")
    return index_of(tmp_path / "links", ["1x.png", "2x.png"])


def by_a_linked_folder(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "sub").symlink_to(root)
    return index_of(tmp_path / "elsewhere", ["sub/1.png", "sub/2.png"])


def by_a_hard_link(root, tmp_path):
    (tmp_path / "hard").mkdir()
    for name in ("1", "2"):
        os.link(root / f"{name}.png", tmp_path / "hard" / f"{name}y.png")
    return index_of(tmp_path / "hard", ["1y.png", "2y.png"])


def by_a_copy(root, tmp_path):
    (tmp_path / "copy").mkdir()
    for name in ("1", "2"):
        shutil.copy(root / f"{name}.png", tmp_path / "copy" / f"renamed{name}.png")
    return index_of(tmp_path / "copy", ["renamed1.png", "renamed2.png"])


def by_a_tar(root, tmp_path):
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for name in ("1", "2"):
            archive.add(root / f"{name}.png", f"in/{name}.png")
    return index_of(tmp_path, ["faces.tar!/in/1.png", "faces.tar!/in/2.png"])


@pytest.mark.parametrize(
    ("share", "reason"),
    [
        (by_another_spelling, "the same file as 1.png"),
        (by_the_frame_of_a_still, "the same file as 1.png"),
        (by_a_link, "the same file as 1.png"),
        (by_a_linked_folder, "the same file as 1.png"),
        (by_a_hard_link, "the same file as 1.png"),
        (by_a_copy, "the same bytes as 1.png"),
        (by_a_tar, "the same bytes as 1.png"),
    ],
)
def test_a_face_is_found_however_it_is_shared(known, tmp_path, share, reason):
    other = share(known.root, tmp_path)
    shared = found(known, other)
    assert shared is not None
    assert (shared.unit, shared.names, shared.reason) == ("faces", list(other.keys), reason)
    assert found(other, known).names == ["1.png", "2.png"]


def test_a_member_of_one_archive_under_two_names(known, tmp_path):
    by_a_tar(known.root, tmp_path)
    (tmp_path / "again.tar").symlink_to(tmp_path / "faces.tar")
    one = index_of(tmp_path, ["faces.tar!/in/1.png"])
    assert found(one, index_of(tmp_path, ["again.tar!/in/./1.png"])).reason.startswith("the same f")
    assert found(one, index_of(tmp_path, ["again.tar!/in/2.png"])) is None


def test_a_zip_beside_a_tar(known, tmp_path):
    tar = by_a_tar(known.root, tmp_path)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(known.root / "2.png", "2.png")
    shared = found(tar, index_of(tmp_path, ["z.zip!/2.png"]))
    assert shared.reason == "the same bytes as faces.tar!/in/2.png"


def test_frames_of_one_video_file_are_shared_from_either_index(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"a video")
    (tmp_path / "lists").mkdir()
    one = index_of(tmp_path / "videos", ["a.mp4#0", "a.mp4#10"])
    other = index_of(tmp_path / "lists", ["../videos/a.mp4#5", "../videos/a.mp4#15.1"])
    assert found(one, other).names == list(other.keys)


def test_a_name_of_a_video_counts_below_one_root_and_in_one_folder(tmp_path):
    write_images(tmp_path / "data" / "v", (1, 2))
    write_images(tmp_path / "data" / "w", (3,))
    one = index_of(tmp_path / "data", ["v/1.png"], ["v"])
    assert found(one, index_of(tmp_path / "data", ["w/3.png"], ["v"])).names == ["v"]
    moved = index_of(tmp_path, ["data/v/2.png"], ["v"])
    assert found(one, moved).unit == "videos"
    assert found(one, index_of(tmp_path, ["data/v/2.png"], ["u"])) is None
    assert found(one, index_of(tmp_path, ["data/w/3.png"], ["v"])) is None


def test_a_name_of_a_video_elsewhere_counts_if_its_images_look_alike(tmp_path):
    write_images(tmp_path / "a" / "v", range(4))
    paths = [f"v/{seed}.png" for seed in range(4)]
    one = index_of(tmp_path / "a", paths, ["v"] * 4)
    (tmp_path / "b" / "v").mkdir(parents=True)
    for seed in range(4):  # the frame after, saved smaller and harder
        frame = cv2.resize(draw(seed), (64, 64), interpolation=cv2.INTER_AREA)
        cv2.imwrite(
            str(tmp_path / "b" / "v" / f"{seed}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, 60]
        )
    copies = [f"v/{seed}.jpg" for seed in range(4)]
    shared = found(one, index_of(tmp_path / "b", copies, ["v"] * 4))
    assert (shared.unit, shared.names) == ("videos", ["v"])
    assert "similar images" in shared.reason
    # Another name: no refusal, but a pair to warn of.
    renamed = index_of(tmp_path / "b", copies, ["u"] * 4)
    assert found(one, renamed) is None
    assert find_similar(one, renamed) == [("v/0.jpg", "v/0.png")]
    write_images(tmp_path / "c" / "v", range(20, 24))
    others = index_of(tmp_path / "c", [f"v/{seed}.png" for seed in range(20, 24)], ["v"] * 4)
    assert found(one, others) is None
    assert find_similar(one, others) == []


def test_only_files_of_one_size_are_read_and_once(known, tmp_path, monkeypatch):
    other = write_images(tmp_path / "test", (10, 11))
    size = (known.root / "1.png").stat().st_size
    (other / "same.png").write_bytes(bytes(size))
    read, real = [], open

    def watched(path, *more, **named):
        read.append(str(path))
        return real(path, *more, **named)

    monkeypatch.setattr(overlap, "open", watched, raising=False)
    table = FileTable(known)
    faces = index_of(other, ["10.png", "11.png", "same.png"])
    for _ in range(2):
        assert find_overlap(table, FileTable(faces)) is None
    assert read.count(str(known.root / "1.png")) == 1
    assert read.count(str(other / "same.png")) == 2
    assert not {str(known.root / "0.png"), str(other / "10.png")} & set(read)


def test_missing_and_empty_files_are_not_alike(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}empty.png").touch()
    one = index_of(tmp_path / "a", ["aempty.png", "gone.png"])
    other = index_of(tmp_path / "b", ["bempty.png", "gone.png", "no.zip!/x.png"])
    assert found(one, other) is None
    assert found(one, index_of(tmp_path, ["a/../a/gone.png"])).names == ["a/../a/gone.png"]
