"""Crops of a face, its mask and its original."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data.cropping import crop, parse_box
from focus.data.images import read_face, read_image, read_mask
from focus.data.index import Face, FaceIndex
from focus.data.prepare.crops import choose
from focus.errors import CheckFailedError
from tests.focus.data.prepare.making import (
    HEIGHT,
    SHIFT,
    SIDE,
    WIDTH,
    draw,
    errors,
    prepare,
    square,
    walk,
    write_video,
)


def write_corpus(folder):
    """A real video, its fake six pixels aside with a mask two frames short; an index of both."""
    write_video(folder / "real/a.mp4", [draw(walk(n)) for n in range(20)])
    write_video(folder / "fake/a_b.mp4", [draw(walk(n, SHIFT), back=60) for n in range(20)])
    masks = []
    for number in range(18):
        mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        left, top = walk(number, SHIFT)
        mask[top : top + SIDE, left : left + SIDE // 2] = 255
        masks.append(mask)
    write_video(folder / "masks/a_b.mp4", masks)
    extra = {"target": "a", "source": "b"}
    fake = Face(
        "fake/a_b.mp4", 1, "test", "swap", "a_b", "masks/a_b.mp4", "real/a.mp4", extra=extra
    )
    FaceIndex.of([Face("real/a.mp4", 0, "test", video="a"), fake], folder).write(
        folder / "list.csv"
    )
    return folder / "list.csv"


def test_the_choice_of_faces():
    faces = [square(0, 0, 20), square(30, 0, 10), square(50, 0, 10)]
    mask = np.zeros((30, 70), bool)
    assert [*choose(faces, "largest", mask)[0]] == [0]
    assert [*choose(faces, "all", mask)[0]] == [0, 1, 2]
    assert choose([], "forged", mask) == (range(0), False)
    for truth in (None, mask):
        chosen, is_guess = choose(faces, "forged", truth)
        assert ([*chosen], is_guess) == ([0], True)
    mask[:8, 30:40] = True
    mask[:5, 0:20] = True
    assert choose(faces, "forged", mask) == ([1], False)
    mask[:6, 50:60] = True
    assert choose(faces, "forged", mask) == ([1, 2], False)


def test_a_fake_its_mask_and_its_original_have_one_box(tmp_path):
    data = write_corpus(tmp_path / "data")
    index = prepare(data, tmp_path / "out", frames=5, png=True)
    assert len(index) == 10
    assert index.column("frame") == ["2", "6", "10", "14", "18"] * 2
    assert index.keys[0] == "crops/real/a/00002.0.png"
    assert set(index.column("video")) == {"a", "a_b"}
    assert set(index.column("detector")) == {"centerface"}
    assert set(index.column("track")) == {"0"}
    assert {*index.column("target"), *index.column("source_id")} == {"", "a", "b"}
    side = round(SIDE * 1.3)
    for row in index:
        frame, box = int(row.extra["frame"]), parse_box(row.extra["box"])
        left, top = walk(frame)  # of the real video, also for the fake
        assert np.abs(np.array(box[:2]) - (left - 2.5, top - 2.5)).max() <= 1.5
        assert (box[2] - box[0], box[3] - box[1]) == (side, side)
        source = read_face(data.parent, f"{row.extra['source']}#{frame}")
        image = read_image(tmp_path / "out" / row.path)
        assert np.array_equal(image, crop(source, box))
        assert row.split == "test"
        if row.label == 0:
            assert (row.mask, row.original, row.method) == ("", "", "")
            continue
        assert (row.extra["source"], row.method) == ("fake/a_b.mp4", "swap")
        original = read_face(data.parent, f"real/a.mp4#{frame}")
        assert np.array_equal(read_image(tmp_path / "out" / row.original), crop(original, box))
        if frame == 18:
            assert row.mask == ""
            continue
        mask = read_mask(tmp_path / "out" / row.mask)
        truth = read_mask(Path(f"{data.parent}/masks/a_b.mp4#{frame}"))
        assert np.array_equal(mask, crop(truth, box))
        assert 0.1 < mask.mean() < 0.5
    reason = "no mask for 1 of 5 frames: no frame 18: the video has 18"
    assert errors(tmp_path / "out") == [("masks/a_b.mp4", reason)]


def test_without_an_original_the_box_is_of_the_fake(tmp_path):
    data = write_corpus(tmp_path / "data")
    (data.parent / "real/a.mp4").unlink()
    with pytest.raises(CheckFailedError, match=r"1 of 2 videos could not be read.*errors\.csv"):
        prepare(data, tmp_path / "out", frames=2)
    index = FaceIndex.read(tmp_path / "out/index.csv")
    assert index.column("original") == ["", ""]
    for row in index:
        left = parse_box(row.extra["box"])[0]
        assert abs(left - (walk(int(row.extra["frame"]), SHIFT)[0] - 2.5)) <= 1.5
    missing = "no such file or directory"
    assert errors(tmp_path / "out") == [
        ("real/a.mp4", missing),
        ("real/a.mp4", f"no original for 2 of 2 frames: {missing}"),
    ]


def test_an_original_of_another_size_is_not_used(tmp_path):
    cv2.imwrite(str(tmp_path / "fake.png"), draw((10, 10)))
    cv2.imwrite(str(tmp_path / "real.png"), cv2.resize(draw((30, 10)), (128, 96)))
    row = Face("fake.png", 1, original="real.png")
    FaceIndex.of([row], tmp_path).write(tmp_path / "list.csv")
    index = prepare(tmp_path / "list.csv", tmp_path / "out")
    assert "original" not in index.columns
    assert parse_box(index[0].extra["box"]) == (8, 8, 29, 29)
    reason = "no original: 96 x 128 pixels, but the image has 48 x 64"
    assert errors(tmp_path / "out") == [("real.png", reason)]


def test_a_crop_beyond_the_border_is_reflected_there_and_says_so(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), draw((0, 0)))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:3, :8] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "list.csv").write_text("path,label,mask\nphoto.png,1,mask.png\n")
    index = prepare(tmp_path / "list.csv", tmp_path / "out", enlarge=1.5, png=True)
    assert index[0].extra["box"] == "-4 -4 20 20"
    assert index[0].extra["padded"] == "0.166667 0.166667 1 1"  # 4 of 24 pixels
    marked = read_mask(tmp_path / "out" / index[0].mask)
    assert np.array_equal(marked, crop(mask > 0, (-4, -4, 20, 20)))
    assert marked[2:7, :12].all()
    assert marked.sum() == 5 * 12
    image = read_image(tmp_path / "out" / index.keys[0])
    assert image.shape == (24, 24, 3)
    assert np.array_equal(image, crop(draw((0, 0)), (-4, -4, 20, 20)))
    assert image[:20, :20].min() == 230


def test_every_face_of_a_image(tmp_path):
    cv2.imwrite(str(tmp_path / "two.png"), draw((40, 20), (4, 8)))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:30, 42:50] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "list.csv").write_text("path,label,mask\ntwo.png,1,mask.png\n")
    index = prepare(tmp_path / "list.csv", tmp_path / "all", faces="all", size=32, quality=80)
    assert index.keys == ["crops/two.0.jpg", "crops/two.1.jpg"]
    assert index.column("source") == ["two.png"] * 2
    assert index.column("video") == ["two"] * 2
    assert index.column("track") == ["0", "1"]
    shapes = {read_image(tmp_path / "all" / path).shape for path in index.keys}
    assert shapes == {(32, 32, 3)}
    masks = [read_mask(tmp_path / "all" / path) for path in index.column("mask")]
    assert sorted(mask.any() for mask in masks) == [False, True]
    forged = prepare(tmp_path / "list.csv", tmp_path / "forged", faces="forged")
    assert len(forged) == 1
    left, top, right, bottom = parse_box(forged[0].extra["box"])
    assert left < 42 < 50 < right
    assert top < 20 < 30 < bottom
