"""Sampling and decoding of frames."""

from __future__ import annotations

import numpy as np
import pytest

from focus.data.prepare.frames import ImageReader, at_frame, spread


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
