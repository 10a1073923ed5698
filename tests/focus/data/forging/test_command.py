"""The forge command: exact masks, reproducible bytes, balanced classes."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.data.forging import (
    METHODS,
    ForgeCommand,
    processes,
)
from focus.data.forging.command import assign_split, name_faces
from focus.data.images import read_image
from focus.data.index import Face, FaceIndex
from focus.data.landmarks import FaceShape
from focus.errors import CheckFailedError, InputError
from focus.runtime import Runtime
from tests.focus.data.forging.making import QUIET, contents, forge


def is_on(root, path):
    return cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE) > 0


def test_index_keeps_splits_and_videos_and_balances_the_classes(demo_corpus, tmp_path, capsys):
    source = FaceIndex.read(demo_corpus)
    index = forge(demo_corpus, tmp_path / "out", forgery=("partial",))
    given = [(face.split, face.video) for face in source.where(label=0)]
    real, fake = list(index.where(label=0)), list(index.where(label=1))
    assert [(face.split, face.video) for face in real] == given
    assert [(face.split, face.video) for face in fake] == given
    assert [face.original for face in fake] == [face.path for face in real]
    assert {face.method for face in fake} <= set(METHODS[1:-1])
    assert len({face.method for face in fake}) > 1
    assert not any(face.method or face.mask for face in real)
    printed = capsys.readouterr().out
    assert f"{len(real)} real and {len(fake)} forged faces" in printed


def test_saved_masks_are_exact(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root, png=True, per_face=2)
    for face in index.where(label=1):
        original, forged = read_image(root / face.original), read_image(root / face.path)
        mask, region = is_on(root, face.mask), is_on(root, face.region)
        change = np.abs(original.astype(int) - forged).max(axis=2)
        assert not change[~mask].any()
        assert change[mask].mean() > 2
        assert np.count_nonzero(mask & ~region) < 0.4 * np.count_nonzero(mask)
    given, saved = FaceIndex.read(demo_corpus).where(label=0)[0], index.where(label=0)[0]
    as_it_was = read_image(demo_corpus.parent / given.path)
    assert np.array_equal(as_it_was, read_image(root / saved.path))


def test_files_of_both_classes_have_the_same_format(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root, size=80, quality=71)
    traces = set()
    for face in index:
        with Image.open(root / face.path) as image:
            traces.add((image.format, image.size, str(image.quantization)))
    assert len(traces) == 1
    assert "(80, 80)" in str(traces)


def test_same_bytes_in_one_process_and_in_two(demo_corpus, tmp_path, monkeypatch):
    forge(demo_corpus, tmp_path / "one")
    monkeypatch.setattr(processes, "_CHUNK", 4)
    forge(demo_corpus, tmp_path / "two", workers=2)
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one.pop("forge.json") != two.pop("forge.json")  # they name the folder
    assert len(one) == 20 * 4 + 1
    assert one == two


def test_order_of_the_faces_does_not_matter(demo_corpus, tmp_path):
    shutil.copytree(demo_corpus.parent, tmp_path / "copy")
    index = FaceIndex.read(demo_corpus)
    index.take(np.arange(len(index))[::-1]).write(tmp_path / "copy" / "index.csv")
    forge(demo_corpus, tmp_path / "one")
    forge(tmp_path / "copy", tmp_path / "two")
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    for name in ("forge.json", "index.csv"):
        one.pop(name), two.pop(name)
    assert one == two


def test_another_seed_gives_other_masks(demo_corpus, tmp_path):
    forge(demo_corpus, tmp_path / "one")
    forge(demo_corpus, tmp_path / "two", runtime=replace(QUIET, seed=1))
    masks = [
        [data for path, data in contents(tmp_path / name).items() if path.startswith("mask/")]
        for name in ("one", "two")
    ]
    assert not set(masks[0]) & set(masks[1])


def test_killed_run_is_resumed(demo_corpus, tmp_path):
    root = tmp_path / "out"
    index = forge(demo_corpus, root)
    whole = contents(root)
    lost = [index[1].path, index[4].path, index[7].mask, "index.csv"]
    for path in lost:
        (root / path).unlink()
    kept = {path: (root / path).stat().st_mtime_ns for path in whole if (root / path).exists()}
    forge(demo_corpus, root)
    assert contents(root) == whole
    untouched = [path for path, time in kept.items() if (root / path).stat().st_mtime_ns == time]
    assert len(whole) - len(untouched) <= 3 * 4 + 1


def test_folder_of_another_command_is_refused(demo_corpus, tmp_path):
    forge(demo_corpus, tmp_path / "out")
    with pytest.raises(InputError, match="holds another run"):
        forge(demo_corpus, tmp_path / "out", quality=50)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty"):
        forge(demo_corpus, tmp_path / "full")


def test_out_inside_a_folder_of_photographs_is_refused(demo_corpus, tmp_path):
    shutil.copytree(demo_corpus.parent / "real", tmp_path / "photos")
    with pytest.raises(InputError, match="is inside"):
        forge(tmp_path / "photos", tmp_path / "photos" / "forged")


def test_unlabelled_photographs_are_split_by_video(demo_corpus, tmp_path):
    photos = tmp_path / "photos"
    for number, path in enumerate(sorted((demo_corpus.parent / "real").iterdir())):
        folder = photos / f"person {number // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number % 4}.jpg")
    index = forge(photos, tmp_path / "out")
    assert Counter(index.labels.tolist()) == {0: 20, 1: 20}
    assert {face.video for face in index} == {f"person {number}" for number in range(5)}
    assert len({(face.video, face.split) for face in index}) == 5
    assert (tmp_path / "out" / "real" / "person 3" / "2.jpg").is_file()


def test_splits_have_the_usual_shares():
    counts = Counter(assign_split(f"clip {number}") for number in range(4000))
    shares = [counts[split] / 4000 for split in ("train", "val", "test")]
    assert np.allclose(shares, [0.7, 0.1, 0.2], atol=0.03)


def test_faces_of_one_photograph_stay_together(demo_corpus, tmp_path):
    photo = cv2.imread(str(demo_corpus.parent / "real" / "0000-0.jpg"))
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([photo, photo[:, ::-1]]))
    boxes = {"0": "0 0 64 64", "1": "64 0 128 64"}
    faces = [Face(f"two.png#0.{face}", extra={"box": box}) for face, box in boxes.items()]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out")
    assert {face.video for face in index} == {"two.png"}
    assert [face.path for face in index.where(label=0)] == ["real/two-0-0.jpg", "real/two-0-1.jpg"]
    assert "box" not in index.columns


def test_black_borders_of_a_crop_stay_black(demo_corpus, tmp_path):
    photo = read_image(demo_corpus.parent / "real" / "0000-0.jpg")
    for number in range(6):
        black = photo.copy()
        black[:, 32 + number :] = 0
        cv2.imwrite(str(tmp_path / f"{number}.png"), black[..., ::-1])
    faces = [Face(f"{number}.png") for number in range(6)]
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out", forgery=("blend",), png=True)
    assert {read_image(tmp_path / "out" / face.path).shape for face in index} == {(64, 64, 3)}
    for number, face in enumerate(index.where(label=1)):
        assert not read_image(tmp_path / "out" / face.path)[:, 32 + number :].any()
        assert not is_on(tmp_path / "out", face.mask)[:, 32 + number :].any()
        assert not is_on(tmp_path / "out", face.region)[:, 32 + number :].any()


def test_unreadable_source_is_reported_and_left_out(demo_corpus, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(demo_corpus.parent, folder)
    index = FaceIndex.read(folder / "index.csv").where(label=0)
    (folder / index[2].path).write_bytes(b"not an image")
    index.write(folder / "index.csv")
    with pytest.raises(CheckFailedError, match=f"1 of 20 faces left out: {index[2].path}: not an"):
        forge(folder, tmp_path / "out")
    made = FaceIndex.read(tmp_path / "out" / "index.csv")
    assert len(made) == 2 * 19
    assert not [path for path in contents(tmp_path / "out") if Path(index[2].path).stem in path]


def test_fakes_are_left_out_and_counted(demo_corpus, tmp_path, capsys):
    forge(demo_corpus, tmp_path / "out", runtime=Runtime())
    assert "skipping 20 fakes" in capsys.readouterr().err
    index = FaceIndex.read(demo_corpus).where(label=1)
    index.relocated(tmp_path).write(tmp_path / "fakes.csv")
    with pytest.raises(InputError, match="contains fakes only"):
        forge(tmp_path / "fakes.csv", tmp_path / "none")


def test_whole_videos_are_refused(tmp_path):
    FaceIndex.of([Face("a/clip.MP4", 0)], tmp_path).write(tmp_path / "index.csv")
    with pytest.raises(InputError, match="focus prepare"):
        forge(tmp_path / "index.csv", tmp_path / "out")


def test_columns_of_the_source_are_passed_through(demo_corpus, tmp_path):
    faces = [replace(face, extra={"light": "red"}) for face in FaceIndex.read(demo_corpus)]
    FaceIndex.of(faces, demo_corpus.parent).relocated(tmp_path).write(tmp_path / "index.csv")
    index = forge(tmp_path / "index.csv", tmp_path / "out")
    assert set(index.column("light")) == {"red"}


def test_names_are_safe_and_never_the_same():
    keys = ["/a/b/x.jpg", "/a/b/x.png", "/a/b/X.jpg", "/a/b/c/../x+1.jpg", "/a/b/v.mp4#12.1"]
    names = name_faces([*keys, "/a/b/s.tar.gz!/m/x.jpg"])
    assert names[4:] == ["v-12-1", "s/m/x"]
    assert len({name.casefold() for name in names}) == 6
    assert not any(".." in name or "+" in name or "#" in name for name in names)
    assert name_faces(["../photos/one.jpg"]) == ["one"]


def test_without_a_model_the_face_is_an_ellipse_in_the_middle(demo_corpus, tmp_path):
    shape = FaceShape.from_box(90, 130)
    middle, radii, _ = cv2.fitEllipse(shape.outline)
    assert middle == pytest.approx((64.5, 47.3), abs=0.5)
    assert radii == pytest.approx((0.74 * 90 / 1.3, 0.94 * 90 / 1.3), abs=0.5)
    index = forge(demo_corpus, tmp_path / "out")
    regions = {(tmp_path / "out" / face.region).read_bytes() for face in index}
    assert len(regions) == 1


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"forgery": ()}, "--forgery"),
        ({"forgery": ("blend", "blend")}, "--forgery"),
        ({"per_face": 0}, "--per-face"),
        ({"size": 8}, "--size"),
        ({"quality": 101}, "--quality"),
        ({"workers": -2}, "--workers"),
    ],
)
def test_bad_flags_are_reported(options, flag):
    with pytest.raises(InputError, match=flag):
        ForgeCommand(**options)
