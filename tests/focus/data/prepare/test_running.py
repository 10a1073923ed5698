"""Many videos: order, damage, interruption."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from focus.data.index import Face, FaceIndex
from focus.data.prepare import running
from focus.data.prepare.planning import plan
from focus.errors import CheckFailedError, InputError
from tests.focus.data.prepare.making import draw, errors, prepare, walk, write_video


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


SCRIPT = """
import sys
from pathlib import Path
from focus.data.prepare import running
from tests.focus.data.prepare.making import SquareDetector, prepare
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
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", data, out],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )
    while len(list(out.glob(".prepare/*.json"))) < 3:  # run.json, and two videos
        assert process.poll() is None
        time.sleep(0.02)
    workers = list_children(process.pid)
    process.kill()
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
