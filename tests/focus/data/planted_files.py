"""Small files of images and videos, and a face detector of bright images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.data.cropping import FaceBox
from focus.data.index import FaceIndex


def put(root: Path, *names: str) -> Path:
    """Write small PNGs under any suffix: their content is not checked until they are read."""
    data = cv2.imencode(".png", np.full((8, 8, 3), 200, np.uint8))[1].tobytes()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def put_clip(path: Path, count: int = 25) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for number in range(count):
        writer.write(np.full((48, 64, 3), number * 8, np.uint8))
    writer.release()
    return path


def rows(index: FaceIndex) -> list[tuple[str, int, str]]:
    return [(face.path, face.label, face.video) for face in index]


class Bright:
    """Finds one face in an image brighter than 100, and a second in one brighter than 150."""

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        boxes = [FaceBox(2, 2, 12, 12, 0.9), FaceBox(0, 0, 3.4, 2, 0.8)]
        return boxes[: int(image.mean() > 100) + int(image.mean() > 150)]
