from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data import videos
from focus.data.images import read_face, read_mask
from focus.data.videos import FrameReader, count_frames, read_frame
from focus.errors import UnreadableError

COUNT = 150


def write_clip(path: Path, code: str = "mp4v", count: int = COUNT) -> Path:
    """Every frame differs from every other, and red from blue."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
    for number in range(count):
        frame = np.zeros((48, 64, 3), np.uint8)
        cv2.putText(frame, str(number), (2, 36), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40, 90, 250), 2)
        writer.write(frame)
    writer.release()
    return path


def decode_all(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (step := capture.read())[0]:
        frames.append(step[1][..., ::-1])
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip #1.mp4")


def boxes_of(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    found = {}
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        found[name] = (start, start + size)
        start += size
    return found


def drop_frames(path: Path, out: Path, place: int, gap: int) -> Path:
    """Write the same MP4 with a gap of some frames in its time table, behind a frame."""
    data, parents, (start, end) = path.read_bytes(), [], (0, path.stat().st_size)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        start, end = boxes_of(data, start, end)[name]
        parents.append(start)
        start += 8
    _, entries, count, step = struct.unpack_from(">IIII", data, start)
    assert (entries, count) == (1, COUNT)
    steps = (place, step, 1, (gap + 1) * step, count - place - 1, step)
    table = struct.pack(">8I", 0, 3, *steps)
    grown = bytearray(data[:start] + table + data[end:])
    for parent in parents:
        size = struct.unpack_from(">I", grown, parent)[0]
        struct.pack_into(">I", grown, parent, size + len(table) - (end - start))
    out.write_bytes(grown.replace(b"edts", b"free"))  # the edit list would cut the longer clip
    return out


@pytest.mark.parametrize("near", [videos.NEAR, 4])
def test_any_order_gives_the_frames_of_sequential_decoding(
    clip: Path, near: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "NEAR", near)
    frames, reader = decode_all(clip), FrameReader(clip)
    order = np.random.default_rng(0).permutation(COUNT)[:40].tolist()
    for number in [0, COUNT - 1, *order, 7, 7, 8, 20, 0]:
        read = reader.read(number)
        assert read.dtype == np.uint8
        assert np.array_equal(read, frames[number]), number
    assert reader.frames == len(frames) == COUNT


def test_an_even_clip_is_sought_in(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "NEAR", 4)
    reader = FrameReader(clip)
    assert reader._seek(100)
    assert np.array_equal(reader.read(100), decode_all(clip)[100])


@pytest.mark.parametrize(("place", "gap"), [(50, 40), (3, 1)])
def test_a_gap_in_time_does_not_shift_the_frames(
    place: int, gap: int, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "NEAR", 4)
    path = drop_frames(clip, tmp_path / "gap.mp4", place, gap)
    frames, capture, reader = decode_all(path), cv2.VideoCapture(str(path)), FrameReader(path)
    assert len(frames) == COUNT
    shifted = 0
    for number in (100, 3, 140, 51, 50, 49, 20, COUNT - 1, 75, 120, 33, 90):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        found, frame = capture.read()
        shifted += not found or not np.array_equal(frame[..., ::-1], frames[number])
        assert np.array_equal(reader.read(number), frames[number]), number
    assert shifted, "OpenCV seeks exactly here, so that this clip shows nothing"
    assert reader.frames == COUNT


def test_a_seek_that_lands_elsewhere_is_taken_back(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop_frames(clip, tmp_path / "gap.mp4", 50, 40)
    monkeypatch.setattr(videos, "_measure_pace", lambda _: videos._Pace(COUNT, 40.0))
    monkeypatch.setattr(videos, "NEAR", 4)
    frames, reader = decode_all(path), FrameReader(path)
    for number in (100, 60, 140):
        assert np.array_equal(reader.read(number), frames[number]), number


def test_a_lying_count_is_not_believed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "lie.avi", "MJPG", count=20)
    data = bytearray(path.read_bytes())
    for place in (data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32):
        assert struct.unpack_from("<I", data, place)[0] == 20
        struct.pack_into("<I", data, place, 5000)
    path.write_bytes(data)
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 5000
    assert count_frames(path) == FrameReader(path).frames == 20
    with pytest.raises(UnreadableError, match="no frame 30: the video has 20"):
        FrameReader(path).read(30)


def test_a_truncated_clip_has_the_frames_that_are_left(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.avi", "MJPG", count=20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0 < count_frames(path) < 20


def test_past_the_end_the_count_is_named_and_reading_goes_on(clip: Path) -> None:
    reader = FrameReader(clip)
    for number in (COUNT, 10**8, -1):
        with pytest.raises(UnreadableError, match=f"no frame {number}: the video has {COUNT}"):
            reader.read(number)
    assert np.array_equal(reader.read(COUNT - 1), decode_all(clip)[-1])


def test_what_is_no_video_says_why_and_nothing_else(
    clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    contents = {"empty": b"", "not a video": b"hello" * 99, "truncated": clip.read_bytes()[:3000]}
    cases = {"no such file": tmp_path / "missing.mp4", "directory": tmp_path}
    for reason, data in contents.items():
        cases[reason] = tmp_path / f"{reason}.mp4"
        cases[reason].write_bytes(data)
    for reason, path in cases.items():
        for function in (FrameReader, count_frames):
            with pytest.raises(UnreadableError, match=reason) as caught:
                function(path)
            assert "\n" not in str(caught.value)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_read_face_keeps_the_clip_open(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    original = videos._open
    monkeypatch.setattr(videos, "_open", lambda path: (opened.append(path), original(path))[1])
    videos._cached.cache_clear()
    videos._examine_start.cache_clear()
    frames = decode_all(clip)
    for number in range(0, 60, 10):
        assert np.array_equal(read_face(clip.parent, f"{clip.name}#{number}"), frames[number])
        face = read_face(clip.parent, f"{clip.name}#{number}.1", "2 3 30 40")
        assert np.array_equal(face, frames[number][3:40, 2:30])
    assert len(opened) == 2  # one to look at its start


def test_a_mask_may_be_a_frame(clip: Path) -> None:
    frame = decode_all(clip)[12].astype(int)
    mask = read_mask(Path(f"{clip}#12"))
    assert np.array_equal(mask, frame.sum(axis=2) > 3 * 127.5)
    assert 0 < mask.sum() < mask.size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_reads_on_by_itself(clip: Path) -> None:
    frames = decode_all(clip)
    read_frame(clip, 20)

    def agree(numbers: range) -> bool:
        return all(np.array_equal(read_frame(clip, n), frames[n]) for n in numbers)

    child = os.fork()
    if child == 0:
        os._exit(0 if agree(range(21, COUNT)) else 1)
    mine = agree(range(20, COUNT))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine


def write_by_pyav(
    path: Path, codec: str, options: dict[str, str], interlaced: bool, pixels: str = "yuv420p"
) -> list[np.ndarray]:
    """Write 8 frames with a bar that moves; return them as RGB."""
    av = pytest.importorskip("av")
    frames = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pixels
        if interlaced:
            stream.codec_context.flags |= (1 << 18) | (1 << 29)  # +ildct+ilme
        for number in range(8):
            image = np.full((96, 128, 3), 40, np.uint8)
            image[:, 16 * number : 16 * number + 16] = (230, 120, 60)
            frames.append(image)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return frames


INTERLACED = [
    ("a.mp4", "libx264", {"x264-params": "interlaced=1:tff=1", "crf": "10"}, "yuv420p"),
    ("a.mkv", "libx264", {"x264-params": "interlaced=1", "crf": "10"}, "yuv422p"),
    ("a.mpg", "mpeg2video", {"b": "4M"}, "yuv420p"),
    ("a.mov", "prores_ks", {}, "yuv422p10le"),
]


@pytest.mark.parametrize(("name", "codec", "options", "pixels"), INTERLACED)
def test_interlaced_frames_are_what_was_written(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], pixels: str
) -> None:
    path = tmp_path / name
    frames = write_by_pyav(path, codec, options, interlaced=True, pixels=pixels)
    reader = FrameReader(path)
    assert reader.frames == len(frames)
    for number in (0, 5, 5, 2, 7):
        read = reader.read(number)
        assert read.shape == (96, 128, 3)
        assert np.abs(read.astype(int) - frames[number]).mean() < 6
    for number in (-1, 8):
        with pytest.raises(UnreadableError, match=f"no frame {number}"):
            reader.read(number)


def test_without_pyav_interlaced_frames_are_named_and_never_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, codec, options, pixels = INTERLACED[0]
    write_by_pyav(tmp_path / name, codec, options, interlaced=True, pixels=pixels)
    monkeypatch.setitem(sys.modules, "av", None)
    for frame in (0, 3):
        with pytest.raises(UnreadableError, match=r"interlaced.*focus-forgery\[video\]"):
            read_face(tmp_path, f"{name}#{frame}")


def test_a_video_that_stands_still_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    monkeypatch.setitem(sys.modules, "av", None)
    reader = FrameReader(tmp_path / "a.mp4")
    assert not any(reader.read(number).any() for number in range(5))


def test_a_frame_that_stays_unconverted_later_is_noticed(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck:
        """A capture that stops converting at frame 20, as of a video that is interlaced in part."""

        def __init__(self, capture: cv2.VideoCapture) -> None:
            self.capture, self.grabbed, self.image = capture, 0, None

        def grab(self) -> bool:
            self.grabbed += 1
            return self.capture.grab()

        def retrieve(self) -> tuple[bool, np.ndarray]:
            if self.grabbed <= 20 or self.image is None:
                image = self.capture.retrieve()[1]
                noise = np.random.default_rng().integers(0, 256, image.shape, np.uint8)
                self.image = image if self.grabbed <= 20 else noise
            return True, self.image.copy()

        def read(self) -> tuple[bool, np.ndarray]:
            self.grab()
            return self.retrieve()

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

    pytest.importorskip("av")
    frames = decode_all(clip)
    opened = videos._open
    monkeypatch.setattr(videos, "_open", lambda path: Stuck(opened(path)))
    videos._examine_start.cache_clear()
    reader = FrameReader(clip)
    for number in range(18, 26):
        assert np.abs(reader.read(number).astype(int) - frames[number]).mean() < 2


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Keep the process from real-time scheduling, to which SVT-AV1 switches as root."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    os.sched_setscheduler(0, *before)


def test_a_codec_that_opencv_cannot_decode_is_read_by_pyav_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    av = pytest.importorskip("av")
    try:
        av.Codec("libsvtav1", "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip("this PyAV has no AV1 encoder")
    path = tmp_path / "a.mp4"
    with ordinary_priority():
        frames = write_by_pyav(path, "libsvtav1", {"crf": "10"}, interlaced=False)
    if cv2.VideoCapture(str(path)).grab():
        pytest.skip("this OpenCV decodes AV1")
    assert count_frames(path) == 8
    assert np.abs(FrameReader(path).read(3).astype(int) - frames[3]).mean() < 6
    monkeypatch.setitem(sys.modules, "av", None)
    for read in (count_frames, FrameReader):
        with pytest.raises(UnreadableError, match=r"no decoder for codec AV01.*\[video\]"):
            read(path)
