from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from focus.data import listing
from focus.data.corpus import CORPORA, Corpus
from focus.data.demo import draw_face
from focus.data.images import read_face
from focus.data.index import Face, FaceIndex
from focus.data.prepare import PrepareCommand, prepare_command
from focus.data.sources import (
    Source,
    describe_source,
    open_crops,
    open_listed,
    open_source,
)
from focus.errors import InputError
from tests.focus.data.planted_files import put, put_clip, rows


def test_split(tmp_path: Path) -> None:
    faces = [Face("a", split="train"), Face("b", split="train"), Face("c", split="val")]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "i.csv")
    assert open_source(Source(str(tmp_path / "i.csv"), split="val")).keys == ["c"]
    with pytest.raises(InputError, match=r"--split test: no face of .* \(2 train, 1 val\)"):
        open_source(Source(str(tmp_path / "i.csv"), split="test"))


def test_one_image(tmp_path: Path) -> None:
    put(tmp_path, "my photo#1.jpeg")
    index = open_source(Source(str(tmp_path / "my photo#1.jpeg")))
    assert (index.root, rows(index)) == (tmp_path, [("my photo#1.jpeg", -1, "")])


@pytest.mark.usefixtures("bright")
def test_faces_of_one_image(tmp_path: Path) -> None:
    put(tmp_path, "photo.jpg")
    index = open_source(Source(str(tmp_path / "photo.jpg"), crop="faces"))
    assert index.keys == ["photo.jpg#0.0", "photo.jpg#0.1"]
    assert index.column("box") == ["0 0 13 13", "0 -1 4 3"]  # 1.3 times 10 and 3.4, made square
    shapes = [read_face(tmp_path, face.path, face.extra["box"]).shape for face in index]
    assert shapes == [(13, 13, 3), (4, 4, 3)]


def test_one_video_gives_every_kth_frame(tmp_path: Path) -> None:
    clip = put_clip(tmp_path / "my clip #1.mp4")
    expected = [(f"my clip #1.mp4#{k}", -1, "my clip #1") for k in (0, 10, 20)]
    assert rows(open_source(Source(str(clip)))) == expected
    assert len(open_source(Source(str(clip), every=1))) == 25


@pytest.mark.usefixtures("bright")
def test_faces_of_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = put_clip(tmp_path / "clip.mp4")
    index = open_source(Source(str(clip), crop="faces", every=8))
    assert index.keys == ["clip.mp4#16.0", "clip.mp4#24.0", "clip.mp4#24.1"]
    assert set(index.column("video")) == {"clip"}
    assert "2 of 4 images have no face" in capsys.readouterr().err
    open_source(Source(str(clip), crop="faces", every=8), quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("bright")
def test_no_face_at_all(tmp_path: Path) -> None:
    clip = put_clip(tmp_path / "dark.mp4", count=5)
    with pytest.raises(InputError, match=r"no face found in .*dark\.mp4: use --crop frame"):
        open_source(Source(str(clip), crop="faces"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "--data is missing: give a corpus name"),
        ("empty", "empty: contains no file"),
        ("texts", "texts: contains 1 file, but no image or video"),
        ("note.txt", "not an index"),
        ("text.csv", "line 1 has no column 'path'"),
        ("void.csv", "line 1 has no column 'path'"),
        ("head.csv", "head.csv: the index has no row"),
        ("bytes.csv", "not UTF-8"),
        ("gone.csv", "no such file, folder or corpus"),
        ("hed.csv", "perhaps head.csv?"),
        ("maps.h5", "a map file; use --maps for it"),
        ("broken.zip", "the archive is damaged"),
    ],
)
def test_bad_data_gets_one_clear_line(
    data: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("texts").mkdir()
    contents = {
        "texts/a.txt": b"a",
        "note.txt": b"a",
        "text.csv": b"Dear reader,\nthis is no index\n",
        "void.csv": b"",
        "head.csv": b"path,label\n",
        "bytes.csv": b"\x89PNG\r\n\x1a\n\xff\xfe",
        "broken.zip": b"PK",
    }
    for name, content in contents.items():
        Path(name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_source(Source(data))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_text_is_named(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(InputError, match="not UTF-8"):
        open_source(Source(str(tmp_path)))


def test_root_does_not_go_with_files(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    with pytest.raises(InputError, match="--root applies to a corpus name or an index file"):
        open_source(Source(str(tmp_path), root=str(tmp_path)))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"every": 0}, "--every 0"),
        ({"crop": "face"}, "--crop face"),
        ({"split": "dev"}, "--split dev"),
        ({"face_detector": "mtcnn"}, "--face-detector mtcnn"),
    ],
)
def test_bad_values_name_their_flag(options: dict, flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        Source("x", **options)


def scan(root: Path) -> FaceIndex:
    return FaceIndex.of([Face("scanned.png")], root)


def test_a_corpus_name_wins_over_a_folder_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOCUS_DATA", str(tmp_path / "all"))
    put(tmp_path / "toy-corpus", "beside.png")
    corpus = Corpus("toy-corpus", "Toy", "nowhere", lambda root, _: scan(root), unit="face")
    with CORPORA.temporarily("toy-corpus", corpus):
        with pytest.raises(
            InputError, match=r"folder .* not found; .*folder here, use \./toy-corpus"
        ):
            open_source(Source("toy-corpus"))
        put(tmp_path / "all" / "toy-corpus", "scanned.png")
        capsys.readouterr()
        assert list(open_source(Source("toy-corpus")).keys) == ["scanned.png"]
        line = "--data toy-corpus: uses the corpus, not the file or folder ./toy-corpus"
        assert capsys.readouterr().err == f"{line}\n"
        assert list(open_source(Source("./toy-corpus")).keys) == ["beside.png"]
        with pytest.raises(InputError, match="face crops already"):  # the same rule in prepare
            prepare_command(PrepareCommand(source=Source("toy-corpus"), out=Path("cut")))
        with pytest.raises(InputError, match=r"perhaps toy-corpus\?$"):
            open_source(Source("faces/toy-corpus"))


def test_a_subset_of_a_corpus_gives_rows_of_what_is_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "r/1.mp4", "f/1.mp4", "m/1.png")
    faces = [
        *(Face(f"r/{k}.mp4", 0, "test", video=f"r{k}") for k in range(4)),
        Face("f/1.mp4", 1, "test", "swap", mask="m/1.png", original="r/1.mp4"),
        Face("f/2.mp4", 1, "test", "swap", mask="m/2.png", original="r/2.mp4"),
    ]
    put(tmp_path, "f/3.mp4")
    faces.append(Face("f/3.mp4", 1, "val", "swap", mask="m/3.png", original="r/3.mp4"))
    counts = {"test real": 4, "test fake swap": 40, "val fake swap": 1}
    toy = Corpus(
        "toy-corpus",
        "Toy",
        "nowhere",
        lambda root, _: FaceIndex.of(faces, root),
        unit="video",
        published=counts,
    )
    with CORPORA.temporarily("toy-corpus", toy):
        index = open_source(Source("toy-corpus", root=str(tmp_path)))
        assert list(index.keys) == ["r/1.mp4", "f/1.mp4", "f/3.mp4"]
        assert list(index.column("mask")) == ["", "m/1.png", ""]
        assert list(index.column("original")) == ["", "r/1.mp4", ""]
        line = "Toy: a subset; 42 videos of the published ones not on disk"  # 3 + 39
        assert capsys.readouterr().err == f"{line}\n"
        open_source(Source("toy-corpus", root=str(tmp_path), split="val"))
        assert capsys.readouterr().err == ""
        assert open_listed(Source("toy-corpus", root=str(tmp_path)))[1] == [
            "r/0.mp4",
            "r/2.mp4",
            "r/3.mp4",
            "f/2.mp4",
        ]
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(InputError, match=r"none of the 7 files .* r/0\.mp4; is this the right"):
            open_source(Source("toy-corpus", root=str(empty)))


def test_corpora_find_their_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = Corpus("toy-corpus", "Toy", "nowhere", lambda root, _: scan(root))
    with CORPORA.temporarily("toy-corpus", corpus):
        with pytest.raises(InputError, match=r"--root DIR, or set FOCUS_DATA .* toy-corpus/"):
            open_source(Source("toy-corpus"))
        with pytest.raises(InputError, match=r"known: .*toy-corpus.*perhaps toy-corpus"):
            open_source(Source("toy-corps"))
        monkeypatch.setenv("FOCUS_DATA", str(tmp_path / "all"))
        with pytest.raises(
            InputError, match=f"folder {tmp_path}/all/toy-corpus not found; give --root"
        ):
            open_source(Source("toy-corpus"))
        home = put(tmp_path / "all" / "toy-corpus", "scanned.png", "a.png")
        assert (open_source(Source("toy-corpus")).root, scan(home).keys) == (home, ["scanned.png"])
        other = put(tmp_path / "other", "scanned.png")
        assert open_source(Source("toy-corpus", root=str(other))).root == other
        FaceIndex.of([Face("a.png", 1)], home).write(home / "index.csv")
        assert rows(open_source(Source("toy-corpus"))) == [("a.png", 1, "")]


def test_photographs_are_cropped_for_a_model_of_crops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demo_corpus: Path
) -> None:
    face = draw_face(np.random.default_rng(0), 120).image
    wide = np.full((240, 320, 3), 128, np.uint8)
    wide[40:160, 60:180] = face
    images = {"photos/a": wide, "photos/b": wide, "crops/a": face, "none/a": wide[:30]}
    for name, image in images.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    index, chosen = open_crops(Source(str(tmp_path / "photos")))
    assert index.keys == ["a.png#0.0", "b.png#0.0"]
    assert chosen.crop == "faces"
    assert describe_source(chosen)["source"] == {"crop": "faces", "face_detector": "centerface"}
    assert "crops each face that is detected" in capsys.readouterr().err
    assert open_crops(Source(str(tmp_path / "photos/a.png")), quiet=True)[1].crop == "faces"
    kept = [Source(str(tmp_path / "photos"), crop="frame"), Source(str(demo_corpus))]
    kept += [Source(str(tmp_path / name)) for name in ("crops", "none")]
    kept.append(Source(str(demo_corpus.parent / "real")))
    for source in kept:
        index, same = open_crops(source)
        assert (index.keys, same) == (open_source(source).keys, source)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("bright")
def test_the_files_of_a_model_of_crops_are_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "crops", "a.png")
    put_clip(tmp_path / "clips" / "a.mp4")
    walks = Mock(wraps=listing.walk_files)
    counts = Mock(wraps=listing.count_frames)
    monkeypatch.setattr(listing, "walk_files", walks)
    monkeypatch.setattr(listing, "count_frames", counts)
    assert open_crops(Source(str(tmp_path / "crops")))[0].keys == ["a.png"]
    assert (walks.call_count, counts.call_count) == (1, 0)
    index, _ = open_crops(Source(str(tmp_path / "clips"), every=8))
    assert index.keys == ["a.mp4#16.0", "a.mp4#24.0", "a.mp4#24.1"]
    assert (walks.call_count, counts.call_count) == (2, 1)


def test_an_earlier_map_file_keeps_its_face_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from focus.data import sources

    seen = []
    monkeypatch.setattr(sources, "open_source", lambda source: seen.append(source))
    attributes = {"data": str(tmp_path), "source": '{"crop": "faces"}'}
    sources.reopen(attributes, Source(), "maps.h5")
    assert (seen[0].crop, seen[0].face_detector) == ("faces", "yunet")
