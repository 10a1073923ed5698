"""Which frames of a video are taken, and reading them twice for the price of once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focus.data.images import VIDEO_SUFFIXES, read_face, split_path

KEPT_BYTES = 2**28


def spread(count: int, frames: int) -> list[int]:
    """Return the frames to take: the middles of ``frames`` equal shares of a video.

    Place k is round((k + 0.5) * count / frames), half to even; all frames of a video that has no
    more than that, or with ``frames=0``.
    """
    if frames == 0 or frames >= count:
        return list(range(count))
    return [round((place + 0.5) * count / frames) for place in range(frames)]


def at_frame(path: str, frame: int) -> str:
    """Return the path of a frame, if ``path`` is a whole video; else ``path`` itself."""
    whole = path.lower().endswith(VIDEO_SUFFIXES) and split_path(path).frame is None
    return f"{path}#{frame}" if whole else path


class PictureReader:
    """Images below a folder; keeps the first of them, up to 256 MiB, to be read again.

    Boxes are smoothed over a clip before anything is cut, so each image is needed twice, and
    decoding is what takes time. Of a long clip of large frames the rest is decoded again.
    """

    def __init__(self, root: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._root, self._room = root, kept_bytes
        self._kept: dict[str, np.ndarray] = {}

    def read(self, path: str) -> np.ndarray:
        """Return an image as uint8 (H, W, 3), RGB.

        Raises:
            UnreadableError: as in :func:`~focus.data.images.read_face`.
        """
        if path in self._kept:
            return self._kept[path]
        image = read_face(self._root, path)
        if image.nbytes <= self._room:
            self._kept[path] = image
            self._room -= image.nbytes
        return image
