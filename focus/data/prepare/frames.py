"""Choose frames of a video, and cache images that are read twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focus.data.images import VIDEO_SUFFIXES, read_face, split_path

KEPT_BYTES = 2**28


def spread(count: int, frames: int) -> list[int]:
    """Return evenly spaced frames: the middles of ``frames`` equal parts of a video.

    Frame k is round((k + 0.5) * count / frames), half to even. Returns all frames of a video with
    at most ``frames`` frames, or with ``frames=0``.
    """
    if frames == 0 or frames >= count:
        return list(range(count))
    return [round((place + 0.5) * count / frames) for place in range(frames)]


def at_frame(path: str, frame: int) -> str:
    """Return the path of a frame if ``path`` is a whole video, else ``path``."""
    whole = path.lower().endswith(VIDEO_SUFFIXES) and split_path(path).frame is None
    return f"{path}#{frame}" if whole else path


class ImageReader:
    """Reader of images below a folder; caches the first ones, up to 256 MiB.

    Boxes are smoothed over a clip before cutting, so each image is needed twice, and decoding is
    slow. Images beyond the cache (a long clip of large frames) are decoded again.
    """

    def __init__(self, root: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._root, self._free_bytes = root, kept_bytes
        self._cache: dict[str, np.ndarray] = {}

    def read(self, path: str) -> np.ndarray:
        """Return an image as uint8 (H, W, 3), RGB.

        Raises:
            UnreadableError: as in :func:`~focus.data.images.read_face`.
        """
        if path in self._cache:
            return self._cache[path]
        image = read_face(self._root, path)
        if image.nbytes <= self._free_bytes:
            self._cache[path] = image
            self._free_bytes -= image.nbytes
        return image
