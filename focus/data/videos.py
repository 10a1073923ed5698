"""Frames of videos, by exact number.

OpenCV seeks by time. If frames were dropped or are unevenly spaced, it silently returns the wrong
frame (measured on clips of 200 frames with a gap: 54 of 60 wrong).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

# FFmpeg prints to the terminal itself; OpenCV sets this level when it first opens a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from focus.data.conversion import (
    UNCONVERTED,
    PyAvFrames,
    converts,
    looks_unconverted,
    no_decoder,
)
from focus.errors import UnreadableError

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"),
    *(".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".3gp", ".dv"),
)
OPEN_VIDEOS = 4
# Distance from which a seek is faster than decoding forward: a seek decodes from the key frame
# before its target; on three H.264 clips (key frames 170 to 270 apart) it cost 101 to 145 frames.
NEAR = 120
_LOG = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4, and 5


@contextmanager
def silence_opencv() -> Iterator[None]:
    """Keep OpenCV from printing errors that we report ourselves."""
    level = _LOG.getLogLevel()
    _LOG.setLogLevel(0)
    try:
        yield
    finally:
        _LOG.setLogLevel(level)


class FrameReader:
    """Frames of one video by number, counted in the order in which they are decoded.

    Decodes forward to a near frame and seeks to a far one. It seeks only in an MP4 or MOV with
    evenly spaced frames, and checks the result; to go back, any other video is decoded from its
    start. Rotation tags are applied. For one process and one thread.

    OpenCV reports success for interlaced frames that it cannot convert; PyAV reads such videos
    (:mod:`focus.data.conversion`).

    Raises:
        UnreadableError: missing, not permitted, empty, or not a video that OpenCV can open.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._end: int | None = None
        self._fallback: PyAvFrames | None = None
        self._before: np.ndarray | None = None
        self._trusted = False
        status = _check(self.path)
        start = _examine_start(str(self.path), status.st_mtime_ns, status.st_size)
        self._restart()
        if start == "undecoded":
            self._fallback = self._open_pyav(_explain_undecoded(self._capture))
        elif start == "twins":
            self._doubt(0)

    @functools.cached_property
    def frames(self) -> int:
        """The number of decodable frames, see ``count_frames``."""
        return count_frames(self.path)

    @functools.cached_property
    def rate(self) -> float:
        """Frames per second by the container, in [1, 240]; 25 if it does not state them."""
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        return min(max(rate, 1.0), 240.0) if np.isfinite(rate) and rate > 0 else 25.0

    def read(self, frame: int) -> np.ndarray:
        """Return a frame as uint8 (H, W, 3), RGB.

        Raises:
            UnreadableError: a frame past the real end (its message has the count), or one that
                OpenCV cannot convert while PyAV is not installed.
        """
        if self._fallback is not None:
            return self._fallback.read(frame)
        if frame < 0 or (self._end is not None and frame >= self._end):
            raise UnreadableError(f"no frame {frame}: the video has {self.frames}")
        is_new = frame != self._next - 1
        self._approach(frame)
        while self._next <= frame:
            if not self._capture.grab():
                self._end = self.frames = self._next
                self._restart()
                raise UnreadableError(f"no frame {frame}: the video has {self._end}")
            self._next += 1
        found, image = self._capture.retrieve()
        if not found:
            raise UnreadableError(f"frame {frame} cannot be decoded")
        if not self._trusted and is_new:
            if self._before is not None and looks_unconverted(image, self._before):
                self._doubt(frame)
            self._before = image
        if self._fallback is not None:
            return self._fallback.read(frame)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _doubt(self, frame: int) -> None:
        """Check whether OpenCV converts a frame that equals the previous one; if not, use PyAV."""
        if converts(self.path, frame, _open):
            self._trusted, self._before = True, None
        else:
            self._fallback = self._open_pyav(UNCONVERTED)

    def _open_pyav(self, reason: str) -> PyAvFrames:
        turns = int(self._capture.get(cv2.CAP_PROP_ORIENTATION_META)) // 90
        return PyAvFrames(self.path, turns, reason)

    def _restart(self) -> None:
        self._capture, self._next, self._before = _open(self.path), 0, None

    def _approach(self, frame: int) -> None:
        """Seek or restart so that the frame can be reached by decoding forward."""
        if -1 <= frame - self._next < NEAR:  # -1: the current frame
            return
        if (frame < NEAR or not self._seek(frame)) and frame < self._next:
            self._restart()

    def _seek(self, frame: int) -> bool:
        pace = self._pace
        if pace is None or frame >= pace.frames:
            return False
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, frame)
        grabbed = self._capture.grab()
        if grabbed and _is_at(self._capture, frame, pace.interval):
            self._next = frame + 1
            return True
        self._pace = None
        self._restart()
        return False

    @functools.cached_property
    def _pace(self) -> _Pace | None:
        return _measure_pace(self.path)


def count_frames(path: Path) -> int:
    """Return the number of frames that can actually be decoded.

    The container's count is a hint: it is used if an MP4 or MOV decodes at its last frame and ends
    there, which costs one seek. Otherwise the whole video is decoded.

    Raises:
        UnreadableError: as in ``FrameReader``, or no frame can be decoded.
    """
    if pace := _measure_pace(path):
        return pace.frames
    capture, count = _open(path), 0
    while capture.grab():
        count += 1
    count = count or PyAvFrames(path, 0, _explain_undecoded(capture)).count()
    if count == 0:
        raise UnreadableError("no frame of the video can be decoded")
    return count


def describe_frame(path: Path, frame: int) -> str:
    """Return number and time of a frame, as ``frame 120 (0:04.8)``; no time of a missing video."""
    try:
        status = _check(path)
        reader = _cached(str(path), os.getpid(), status.st_mtime_ns, status.st_size)
    except UnreadableError:
        return f"frame {frame}"
    return f"frame {frame} ({clock(frame, reader.rate)})"


def clock(frame: int, rate: float) -> str:
    """Return the time code of a frame: minutes and seconds."""
    tenths = round(10 * frame / rate)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def read_frame(path: Path, frame: int) -> np.ndarray:
    """Return a frame as uint8 (H, W, 3), RGB; each process keeps the last four videos open.

    Raises:
        UnreadableError: as in ``FrameReader``.
    """
    status = _check(path)
    reader = _cached(str(path), os.getpid(), status.st_mtime_ns, status.st_size)
    return reader.read(frame)


@functools.lru_cache(maxsize=OPEN_VIDEOS)
def _cached(path: str, _process: int, _modified: int, _size: int) -> FrameReader:
    # The process is part of the key: after a fork an open file shares its position with the parent.
    return FrameReader(path)


@functools.lru_cache(maxsize=4096)
def _examine_start(path: str, _modified: int, _size: int) -> Literal["undecoded", "twins", "fine"]:
    """Compare the first two frames; a single frame counts as twins: it may be unconverted."""
    capture = _open(Path(path))
    (decoded, first), (found, second) = capture.read(), capture.read()
    if not decoded:
        return "undecoded"
    return "twins" if not found or looks_unconverted(first, second) else "fine"


def _explain_undecoded(capture: cv2.VideoCapture) -> str:
    return no_decoder(int(capture.get(cv2.CAP_PROP_FOURCC)))


class _Pace(NamedTuple):
    frames: int
    interval: float  # milliseconds


def _measure_pace(path: Path) -> _Pace | None:
    """Return number and spacing of evenly spaced frames, None if seeking is not reliable.

    If the last of n frames is n - 1 times the first spacing after the first frame, there is no gap.
    This needs an exact n: Matroska, AVI and fragmented MP4 only estimate it from the duration.
    """
    _check(path)
    with path.open("rb") as file:
        head = file.read(2**16)
    if head[4:8] != b"ftyp" or b"mvex" in head:
        return None
    capture = _open(path)
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if frames < 2 or not (capture.grab() and capture.grab()):
        return None
    interval = capture.get(cv2.CAP_PROP_POS_MSEC)
    capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
    even = capture.grab() and _is_at(capture, frames - 1, interval) and not capture.grab()
    return _Pace(frames, interval) if even else None


def _is_at(capture: cv2.VideoCapture, frame: int, interval: float) -> bool:
    time = capture.get(cv2.CAP_PROP_POS_MSEC)
    return abs(time - frame * interval) < interval / 2


def _check(path: Path) -> os.stat_result:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
    except (OSError, ValueError) as error:
        raise UnreadableError.because(error) from None
    if not status.st_size:
        raise UnreadableError("the file is empty")
    return status


def _open(path: Path) -> cv2.VideoCapture:
    """Open a video, decoded by one thread, since loaders run several processes."""
    _check(path)
    with silence_opencv():
        # An absolute path cannot be mistaken for a protocol or a device.
        name = os.path.abspath(path)
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise UnreadableError("not a video that OpenCV can open: damaged, truncated or unknown")
    return capture
