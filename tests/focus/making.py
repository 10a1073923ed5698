"""A photograph and a clip of drawn faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.data.demo import draw_face


def photo(faces: int = 1, side: int = 160) -> np.ndarray:
    """Return a photograph of drawn faces in a row on grey."""
    image = np.full((side + 60, max(faces, 1) * (side + 40) + 40, 3), 128, np.uint8)
    for number in range(faces):
        left = 40 + number * (side + 40)
        face = draw_face(np.random.default_rng(number), side).image
        image[30 : 30 + side, left : left + side] = face
    return image


def write_clip(path: Path, frames: int = 12) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12, (320, 240))
    face = draw_face(np.random.default_rng(1), 160).image
    for frame in range(frames):
        image = np.full((240, 320, 3), 128, np.uint8)
        image[40:200, 40 + frame : 200 + frame] = face
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    video.release()
    return path
