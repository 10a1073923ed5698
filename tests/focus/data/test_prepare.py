from __future__ import annotations

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data.corpus import CORPORA, Corpus
from focus.data.cropping import FaceBox, crop, parse_box
from focus.data.images import read_face, read_image, read_mask
from focus.data.index import Face, FaceIndex
from focus.data.prepare import PrepareCommand, prepare_command, running
from focus.data.prepare.crops import choose
from focus.data.prepare.frames import ImageReader, at_frame, spread
from focus.data.prepare.planning import name_crops, plan
from focus.data.prepare.tracks import follow, steady_boxes
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from focus.runtime import Runtime

HEIGHT, WIDTH, SIDE, SHIFT = 48, 64, 16, 6
SHARED = Path(os.environ.get("FOCUS_SHARED", Path(__file__).parents[4] / "shared"))


class SquareDetector:
    """Takes bright squares for faces."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        time.sleep(self.pause)
        bright = (image.min(axis=2) > 150).astype(np.uint8)
        found = cv2.connectedComponentsWithStats(bright)[2][1:]
        faces = [
            FaceBox(x, y, x + w, y + h, 0.9) for x, y, w, h, area in found.tolist() if area > 9
        ]
        return sorted(faces, key=lambda face: -face.area)


@pytest.fixture(autouse=True)
def _square_detector(monkeypatch):
    monkeypatch.setattr(running, "open_face_detector", lambda *_: SquareDetector())


def draw(*corners, side=SIDE, back=40):
    """Return an image with a bright square at each (left, top)."""
    picture = np.full((HEIGHT, WIDTH, 3), back, np.uint8)
    for left, top in corners:
        picture[max(top, 0) : top + side, max(left, 0) : left + side] = 230
    return picture


def write_video(path, pictures, code="mp4v"):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (WIDTH, HEIGHT))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def walk(number, shift=0):
    """Return where the square of a frame stands."""
    return 8 + number + shift, 12


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


def prepare(data, out, **flags):
    flags.setdefault("workers", 0)
    source = Source(data=str(data), **flags.pop("source", {}))
    prepare_command(
        PrepareCommand(source=source, out=str(out), runtime=Runtime(quiet=True), **flags)
    )
    return FaceIndex.read(out / "index.csv")


def errors(out):
    with (out / "errors.csv").open() as file:
        return [(row["path"], row["reason"]) for row in csv.DictReader(file)]


# Frames, tracks, choice, names


@pytest.mark.parametrize("count", [1, 9, 10, 11, 30, 299, 300, 1001])
@pytest.mark.parametrize("frames", [1, 3, 10, 32])
def test_frames_are_the_middles_of_equal_shares(count, frames):
    taken = spread(count, frames)
    if frames >= count:
        assert taken == list(range(count))
    else:
        shares = np.linspace(0, count, 2 * frames + 1)[1::2]
        assert np.abs(np.array(taken) - shares).max() <= 0.5 + 1e-9
        assert taken == np.rint((np.arange(frames) + 0.5) * count / frames).tolist()
    assert len(set(taken)) == len(taken) == min(frames, count)
    assert 0 <= taken[0] <= taken[-1] < count


def test_no_number_of_frames_means_all():
    assert spread(5, 0) == [0, 1, 2, 3, 4]


def test_a_frame_is_named_of_a_whole_video_only():
    assert at_frame("a/b.MP4", 7) == "a/b.MP4#7"
    assert [at_frame(path, 7) for path in ("a.mp4#3", "mask.png", "")] == [
        "a.mp4#3",
        "mask.png",
        "",
    ]


def square(left, top, side=10.0):
    return FaceBox(left, top, left + side, top + side, 0.9)


def test_tracks_follow_faces_over_gaps_and_change_of_order():
    frames = [
        [square(0, 0), square(40, 0)],
        [square(43, 2), square(3, 1)],
        [],
        [square(50, 3), square(200, 0), square(8, 2)],
    ]
    assert follow(frames) == [[0, 1], [1, 0], [], [1, 2, 0]]
    assert follow([[square(0, 0)], [square(16, 0)], [square(33, 0)]]) == [[0], [0], [1]]
    assert follow([]) == []


def test_two_faces_of_a_frame_never_share_a_track():
    assert follow([[square(0, 0)], [square(1, 0), square(2, 0)]]) == [[0], [0, 1]]


def test_boxes_of_a_track_have_the_median_size_around_their_own_centres():
    frames = [[square(0, 0, 10)], [square(0, 0, 20)], [square(4, 0, 12), square(100, 0, 40)]]
    boxes = steady_boxes(frames, [[0], [0], [0, 1]], 1.5)
    sides = [[right - left for left, _, right, _ in each] for each in boxes]
    assert sides == [[18], [18], [18, 60]]
    for faces, squares in zip(frames, boxes, strict=True):
        for face, (left, top, right, bottom) in zip(faces, squares, strict=True):
            assert abs((left + right) - (face.left + face.right)) <= 1
            assert abs((top + bottom) - (face.top + face.bottom)) <= 1


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


def test_crops_of_two_files_never_meet():
    assert name_crops(["a/x.mp4", "b.tar.gz!/c/1.png"]) == ["a/x", "b.tar.gz/c/1"]
    assert name_crops(["x.mp4", "X.avi", "y.mp4"]) == ["x.mp4", "X.avi", "y"]
    assert name_crops(["v.mp4", "v/00007.png"]) == ["v", "v/00007.png"]
    assert name_crops(["/disk/faces/a/1.mp4", "/disk/faces/b/1.mp4"]) == ["a/1", "b/1"]
    assert name_crops(["../../faces/x.mp4"]) == ["x"]
    with pytest.raises(InputError, match=r"x\.mp4 and ./x\.mp4: their crops would share a name"):
        name_crops(["x.mp4", "./x.mp4"])


def test_a_reader_keeps_what_it_has_room_for(tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr(
        "focus.data.prepare.frames.read_face",
        lambda root, path: reads.append(path) or np.zeros((10, 10, 3), np.uint8),
    )
    reader = ImageReader(tmp_path, kept_bytes=700)
    for path in ("a", "b", "c", "a", "b", "c"):
        reader.read(path)
    assert reads == ["a", "b", "c", "c"]


# A whole run


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
        picture = read_image(tmp_path / "out" / row.path)
        assert np.array_equal(picture, crop(source, box))
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
    assert index[0].extra["padded"] == "0.306"  # 1 - 20 * 20 / (24 * 24)
    marked = read_mask(tmp_path / "out" / index[0].mask)
    assert np.array_equal(marked, crop(mask > 0, (-4, -4, 20, 20)))
    assert marked[2:7, :12].all()
    assert marked.sum() == 5 * 12
    picture = read_image(tmp_path / "out" / index.keys[0])
    assert picture.shape == (24, 24, 3)
    assert np.array_equal(picture, crop(draw((0, 0)), (-4, -4, 20, 20)))
    assert picture[:20, :20].min() == 230


def test_every_face_of_a_picture(tmp_path):
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


def test_frames_that_the_index_names_are_taken_and_no_others(tmp_path):
    write_video(tmp_path / "a.mp4", [draw(walk(n)) for n in range(10)])
    (tmp_path / "list.csv").write_text("path,label\na.mp4#7,0\na.mp4#2,0\n")
    index = prepare(tmp_path / "list.csv", tmp_path / "out")
    assert index.column("frame") == ["7", "2"]
    (tmp_path / "mixed.csv").write_text("path,label\na.mp4#7,0\na.mp4,0\n")
    with pytest.raises(InputError, match=r"a\.mp4: a row names the whole file"):
        prepare(tmp_path / "mixed.csv", tmp_path / "mixed")


def test_a_folder_of_videos_is_sampled_evenly(tmp_path):
    for name in ("real/x", "fake/x"):
        write_video(tmp_path / f"data/{name}.mp4", [draw(walk(n)) for n in range(12)])
    index = prepare(tmp_path / "data", tmp_path / "out", frames=3)
    assert sorted(index.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert index.column("frame") == ["2", "6", "10"] * 2
    assert len(set(index.column("video"))) == 2
    everything = prepare(tmp_path / "data/real/x.mp4", tmp_path / "all", frames=0)
    assert everything.column("frame") == [str(frame) for frame in range(12)]


def test_many_photographs_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("focus.data.prepare.planning.PHOTOGRAPHS_TOGETHER", 2)
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        cv2.imwrite(str(folder / f"{number}.png"), draw((8, 8)) if number != 3 else draw())
    index = prepare(folder, tmp_path / "out")
    assert index.keys == [f"crops/{number}.0.jpg" for number in (0, 1, 2, 4)]
    assert errors(tmp_path / "out") == [("3.png", "no face found")]
    tasks = plan(FaceIndex.of([Face(f"{n}.png") for n in range(5)], folder), whole=True)
    assert [len(task.clips) for task in tasks] == [2, 2, 1]


# What is broken


def test_a_broken_video_is_listed_and_passed_by_until_it_is_mended(tmp_path):
    data = tmp_path / "data"
    for name in "abc":
        write_video(data / f"{name}.mp4", [draw(walk(n)) for n in range(6)])
    whole = (data / "b.mp4").read_bytes()
    (data / "b.mp4").write_bytes(bytes(len(whole)))
    with pytest.raises(InputError, match=r"b\.mp4: not a video that OpenCV can open"):
        prepare(data, tmp_path / "stopped", frames=2, on_error="stop")
    with pytest.raises(CheckFailedError, match="1 of 3 videos could not be read"):
        prepare(data, tmp_path / "out", frames=2)
    index = FaceIndex.read(tmp_path / "out/index.csv")
    assert index.column("source") == ["a.mp4", "a.mp4", "c.mp4", "c.mp4"]
    assert [path for path, _ in errors(tmp_path / "out")] == ["b.mp4"]
    (data / "b.mp4").write_bytes(whole)
    mended = prepare(data, tmp_path / "out", frames=2)
    assert mended.column("source") == [f"{name}.mp4" for name in "aabbcc"]
    assert not (tmp_path / "out/errors.csv").exists()


def test_a_lying_number_of_frames_is_not_believed(tmp_path):
    path = write_video(tmp_path / "lie.avi", [draw(walk(n)) for n in range(20)], "MJPG")
    data = bytearray(path.read_bytes())
    for place in (data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32):
        struct.pack_into("<I", data, place, 5000)
    path.write_bytes(data)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 5000
    index = prepare(path, tmp_path / "out", frames=4)
    assert index.column("frame") == ["2", "8", "12", "18"]


def test_nothing_to_be_seen_is_an_error(tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), draw())
    with pytest.raises(InputError, match=r"no face in any of 1 image; wall\.png"):
        prepare(tmp_path / "wall.png", tmp_path / "out")
    assert not (tmp_path / "out/index.csv").exists()


def test_refusals(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    cv2.imwrite(str(data / "photo.png"), draw((8, 8)))
    with pytest.raises(InputError, match="--data is missing"):
        prepare("", tmp_path / "out")
    with pytest.raises(InputError, match="is inside --data"):
        prepare(data, data / "deep/out")
    with pytest.raises(InputError, match="use --frames N, evenly spaced"):
        prepare(data, tmp_path / "out", source={"every": 3})
    with pytest.raises(InputError, match=r"--enlarge 0: must be 0\.5 or more"):
        PrepareCommand(enlarge=0)
    with pytest.raises(InputError, match="--quality 101"):
        PrepareCommand(quality=101)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/index.csv").write_text("path,label\n")
    with pytest.raises(InputError, match="that focus prepare did not write"):
        prepare(data, tmp_path / "taken", overwrite=True)
    (tmp_path / "faces.csv").write_text("path,label,box\ndata/photo.png#0.0,0,1 1 9 9\n")
    with pytest.raises(InputError, match="the row names a face"):
        prepare(tmp_path / "faces.csv", tmp_path / "out")
    prepare(data, tmp_path / "out")
    with pytest.raises(InputError, match="faces that focus prepare cut; use it directly"):
        prepare(tmp_path / "out", tmp_path / "again")
    with pytest.raises(InputError, match=r"prepared with other settings \(enlarge 1.3, not 2.0\)"):
        prepare(data, tmp_path / "out", enlarge=2.0)
    assert parse_box(prepare(data, tmp_path / "out")[0].extra["box"]) == (6, 6, 27, 27)
    other = prepare(data, tmp_path / "out", enlarge=2.0, overwrite=True)
    assert parse_box(other[0].extra["box"]) == (0, 0, 32, 32)


def test_a_corpus_of_faces_needs_no_preparing(tmp_path):
    corpus = Corpus("faces-x", "Faces", "here", lambda *_: FaceIndex.of([], tmp_path), unit="face")
    with (
        CORPORA.temporarily("faces-x", corpus),
        pytest.raises(InputError, match="nothing to prepare; use --data faces-x directly"),
    ):
        prepare("faces-x", tmp_path / "out")


# Stopped and started again

SCRIPT = """
import sys
from pathlib import Path
from focus.data.prepare import running
from test_prepare import SquareDetector, prepare
running.open_face_detector = lambda *_: SquareDetector(pause=0.15)
if __name__ == "__main__":
    prepare(sys.argv[1], Path(sys.argv[2]), frames=3, workers=2)
"""


def list_children(process):
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in path.read_text().split()] if path.exists() else []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_a_killed_run_goes_on_and_gives_the_same(tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for name in range(8):
        write_video(data / f"{name}.mp4", [draw(walk(n, name)) for n in range(9)])
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[3])]
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", data, out],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    while len(list(out.glob(".prepare/*.json"))) < 3:  # run.json, and two videos
        assert process.poll() is None
        time.sleep(0.02)
    workers = list_children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(workers) >= 2
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlive a killed run"
        time.sleep(0.05)
    assert not (out / "index.csv").exists()
    finished = len(list(out.glob(".prepare/*.json"))) - 1
    assert 2 <= finished < 8
    made = []
    cut = running.Cropper.cut
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.Cropper, "cut", lambda *of: made.append(of) or cut(*of))
        prepare(data, out, frames=3)
        assert len(made) == 8 - finished
        prepare(data, tmp_path / "straight", frames=3)
    files = [path.relative_to(out) for path in sorted(out.rglob("*.*")) if path.is_file()]
    assert len(files) == 8 * 3 + 8 + 2
    for path in files:
        if path.name != "run.json":
            assert (out / path).read_bytes() == (tmp_path / "straight" / path).read_bytes(), path


def test_what_was_moved_away_or_spoilt_is_made_again(tmp_path):
    data = tmp_path / "data"
    for name in "ab":
        write_video(data / f"{name}.mp4", [draw(walk(n)) for n in range(4)])
    index = prepare(data, tmp_path / "out", frames=2)
    (tmp_path / "out" / index.keys[0]).unlink()
    records = [
        path for path in (tmp_path / "out/.prepare").glob("*.json") if path.name != "run.json"
    ]
    spoilt = next(
        path for path in records if json.loads(path.read_text())["rows"][0]["video"] == "b"
    )
    spoilt.write_text("{")
    again = prepare(data, tmp_path / "out", frames=2)
    assert again.keys == index.keys
    assert (tmp_path / "out" / index.keys[0]).is_file()


@pytest.mark.skipif(
    not (SHARED / "data" / "photos").is_dir(), reason=f"no photographs and weights in {SHARED}"
)
def test_photographs_with_a_real_detector(tmp_path, monkeypatch):
    monkeypatch.undo()
    index = prepare(SHARED / "data" / "photos", tmp_path / "out", size=64)
    assert len(index) == len(set(index.column("source"))) == 24
    assert all(float(score) > 0.6 for score in index.column("score"))
