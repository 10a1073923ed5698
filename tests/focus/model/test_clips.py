from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import focus
from focus.data.demo import draw_face
from focus.errors import InputError
from focus.model.packing import pack_model


def write_video(path: Path, frames: int = 24, faces: int = 2, side: int = 120) -> Path:
    """Write drawn faces that move to the right; the second one leaves after a third."""
    size = (520, 200)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12, size)
    images = [draw_face(np.random.default_rng(seed), side).image for seed in range(faces)]
    for frame in range(frames):
        image = np.full((size[1], size[0], 3), 128, np.uint8)
        for number, face in enumerate(images):
            if number and frame >= frames // 3:
                continue
            left = 20 + 260 * number + frame
            image[40 : 40 + side, left : left + side] = face
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    video.release()
    return path


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> focus.FaceModel:
    return focus.load(tiny_model, device="cpu")


def test_tracks_keep_their_identity(model: focus.FaceModel, tmp_path: Path) -> None:
    steps = []
    path = write_video(tmp_path / "clip.mp4")
    clip = model.watch(path, every=2, progress=lambda *step: steps.append(step))
    assert (clip.frames, clip.every, clip.rate, clip.size) == (24, 2, 12, (200, 520))
    assert steps[-1] == (24, 24)
    assert [len(track.sightings) for track in clip.tracks] == [12, 4]
    first, second = clip.tracks
    assert [each.frame for each in first.sightings] == list(range(0, 24, 2))
    lefts = [each.face.box[0] for each in first.sightings]
    assert 12 <= lefts[-1] - lefts[0] <= 32
    assert min(each.face.box[0] for each in second.sightings) > max(lefts)
    assert clip.verdict == first.verdict == "signs of manipulation"
    assert clip.leading is first
    assert 0.6 < first.score < 1


def test_without_faces(model: focus.FaceModel, tmp_path: Path) -> None:
    clip = model.watch(write_video(tmp_path / "clip.mp4", frames=4, faces=0))
    assert clip.tracks == ()
    assert clip.verdict == "no face found"
    assert clip.leading is None
    assert clip.reason == ""


def test_frames_that_cannot_be_judged_make_no_verdict(tiny_run: Path, tmp_path: Path) -> None:
    strict = {"side": 500}
    pack_model(tiny_run, tmp_path / "m.safetensors", name="m", calibration={}, limits=strict)
    model = focus.load(tmp_path / "m.safetensors")
    clip = model.watch(write_video(tmp_path / "clip.mp4", frames=6, faces=1), every=1)
    assert clip.verdict == "cannot say"
    assert clip.reason.startswith("in 6 of 6 frames: the face is too small")
    bare = focus.load(tiny_run).watch(tmp_path / "clip.mp4", every=1)
    assert "not calibrated" in bare.reason


def test_a_damaged_clip_is_one_line(model: focus.FaceModel, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"bad\.mp4: not a video") as caught:
        model.watch(tmp_path / "bad.mp4")
    assert "\n" not in str(caught.value)
