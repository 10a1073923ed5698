"""Videos that OpenCV opens but cannot read: interlaced ones, and codecs that it lacks.

OpenCV decodes interlaced frames, fails to convert them, reports success and returns uninitialised
memory. A failed conversion has two symptoms: the image does not change from frame to frame, and it
equals the previous contents of the memory. PyAV (extra ``video``), if installed, reads such videos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from focus.errors import UnreadableError, printable

_SLACK = (0, 64, 512, 4096)  # bytes that an allocator may add to an image
_ADVICE = "install PyAV to read it: pip install 'focus-forgery[video]'"
UNCONVERTED = f"interlaced, or in a pixel format that OpenCV cannot convert; {_ADVICE}"
Open = Callable[[Path], cv2.VideoCapture]


def looks_unconverted(image: np.ndarray, before: np.ndarray) -> bool:
    """Return whether two images (uint8 (H, W, 3)) of different frames are identical."""
    # A few rows differ in most frames.
    return np.array_equal(image[::32], before[::32]) and np.array_equal(image, before)


def converts(path: Path, frame: int, open_video: Open) -> bool:
    """Return whether OpenCV converts a frame: decode it twice, into differently filled memory."""
    images = [_retrieve(path, frame, open_video, filling) for filling in (85, 170)]
    return np.array_equal(images[0], images[1])


def no_decoder(codec: int) -> str:
    """Return the error message for a video of which no frame can be decoded.

    Args:
        codec: FourCC as a number.
    """
    letters = codec.to_bytes(4, "little") if codec > 0 else b""
    name = printable(letters.decode("latin-1")) or "unknown"
    reason = f"OpenCV has no decoder for codec {name}, or it is damaged"
    return f"no frame can be decoded: {reason}; {_ADVICE}"


def _retrieve(path: Path, frame: int, open_video: Open, filling: int) -> np.ndarray:
    capture = open_video(path)
    for _ in range(frame + 1):
        capture.grab()
    height, width = (
        int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    )
    freed = [np.full(3 * height * width + slack, filling, np.uint8) for slack in _SLACK]
    del freed
    found, image = capture.retrieve()
    return image if found else np.empty(0, np.uint8)


class PyAvFrames:
    """Frames of a video by number, decoded by PyAV from the start; fields are woven, not blended.

    Args:
        path: the video.
        turns: clockwise quarter turns that make a frame upright.
        reason: message of the error if PyAV is not installed: why OpenCV cannot read it.

    Raises:
        UnreadableError: PyAV is not installed, or cannot open the video.
    """

    def __init__(self, path: Path, turns: int, reason: str) -> None:
        try:
            import av
        except ImportError:
            raise UnreadableError(reason) from None
        self._av, self._path, self._turns = av, path, turns
        self._start()

    def read(self, frame: int) -> np.ndarray:
        """Return a frame as uint8 (H, W, 3), RGB.

        Raises:
            UnreadableError: a frame past the end.
        """
        if frame < 0:
            raise UnreadableError(f"no frame {frame}")
        if frame < self._next - 1:
            self._start()
        while self._next <= frame:
            if not self._advance():
                raise UnreadableError(f"no frame {frame}: the video has {self._next}")
        image = self._frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(image, -self._turns))

    def count(self) -> int:
        """Return the number of frames that can be decoded."""
        while self._advance():
            pass
        return self._next

    def _advance(self) -> bool:
        try:
            self._frame = next(self._frames)
        except (StopIteration, self._av.FFmpegError):
            return False
        self._next += 1
        return True

    def _start(self) -> None:
        try:
            container = self._av.open(str(self._path))
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
        except (self._av.FFmpegError, IndexError) as error:
            raise UnreadableError(f"PyAV cannot open the video: {error}") from None
        self._frames: Iterator[Any] = iter(container.decode(stream))
        self._next = 0
