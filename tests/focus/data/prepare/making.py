"""Videos of bright squares, and a face detector that finds them."""

from __future__ import annotations

import csv
import time

import cv2
import numpy as np

from focus.data.cropping import FaceBox
from focus.data.index import FaceIndex
from focus.data.prepare import PrepareCommand, prepare_command
from focus.data.prepare.crops import Cropper
from focus.data.prepare.running import CropperSettings
from focus.data.sources import Source
from focus.runtime import Runtime

HEIGHT, WIDTH, SIDE, SHIFT = 48, 64, 16, 6


class SquareDetector:
    """Takes bright squares for faces."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        time.sleep(self.pause)
        bright = (image.min(axis=2) > 150).astype(np.uint8)
        found = cv2.connectedComponentsWithStats(bright)[2][1:]
        faces = [
            FaceBox(x, y, x + w, y + h, 0.9) for x, y, w, h, area in found.tolist() if area > 9
        ]
        return sorted(faces, key=lambda face: -face.area)


class SquareSettings(CropperSettings):
    """Settings of worker processes that take bright squares for faces."""

    def open(self) -> Cropper:
        return Cropper(self.root, self.out, self.config, SquareDetector(), self.detector)


def draw(*corners, side=SIDE, back=40):
    """Return an image with a bright square at each (left, top)."""
    canvas = np.full((HEIGHT, WIDTH, 3), back, np.uint8)
    for left, top in corners:
        canvas[max(top, 0) : top + side, max(left, 0) : left + side] = 230
    return canvas


def write_video(path, images, code="mp4v"):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (WIDTH, HEIGHT))
    for image in images:
        writer.write(image)
    writer.release()
    return path


def walk(number, shift=0):
    """Return where the square of a frame stands."""
    return 8 + number + shift, 12


def prepare(data, out, **flags):
    flags.setdefault("workers", 0)
    source = Source(data=str(data), **flags.pop("source", {}))
    prepare_command(PrepareCommand(source=source, out=out, runtime=Runtime(quiet=True), **flags))
    return FaceIndex.read(out / "index.csv")


def errors(out):
    with (out / "errors.csv").open() as file:
        return [(row["path"], row["reason"]) for row in csv.DictReader(file)]


def square(left, top, side=10.0):
    return FaceBox(left, top, left + side, top + side, 0.9)
