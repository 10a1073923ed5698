"""Drawn portraits, and a landmark model that knows them."""

from __future__ import annotations

import numpy as np

from focus.data.demo import draw_face
from focus.data.forging import (
    ForgeCommand,
    Portrait,
    forge_command,
)
from focus.data.index import FaceIndex
from focus.data.landmarks import FaceShape
from focus.data.sources import Source
from focus.runtime import Runtime
from tests.shared import SHARED

WEIGHTS = SHARED / "weights" / "pfld68.onnx"
QUIET = Runtime(quiet=True)


def circle(x, y, across, down, count):
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + across * np.cos(turn), y + down * np.sin(turn)], axis=1)


def flat_landmarks():
    """Return the 68 points of a drawn face, in half head heights."""
    fall = np.linspace(0, np.pi, 17)
    jaw = np.stack([-0.7 * np.cos(fall), 0.95 * np.sin(fall)], axis=1)
    brows = np.stack([np.linspace(-0.5, 0.5, 10), np.full(10, -0.2)], axis=1)
    nose = np.stack([np.linspace(-0.1, 0.1, 9), np.linspace(0, 0.35, 9)], axis=1)
    eyes = [circle(x, 0.03, 0.12, 0.05, 6) for x in (-0.3, 0.3)]
    return np.concatenate([jaw, brows, nose, *eyes, circle(0, 0.66, 0.22, 0.1, 20)])


def draw_portrait(seed, size=96):
    drawn = draw_face(np.random.default_rng(seed), size)
    there = np.stack([drawn.face_x, drawn.face_y], axis=-1).reshape(-1, 2)
    points = [np.linalg.norm(there - point, axis=1).argmin() for point in flat_landmarks()]
    places = np.array([(at % size, at // size) for at in points], np.float32)
    return Portrait(drawn.image, FaceShape.from_points(places))


def command(data, out, **options):
    source = options.pop("source", Source(data=str(data)))
    defaults = {"workers": 1, "runtime": QUIET}
    return ForgeCommand(source=source, out=out, **(defaults | options))


def forge(data, out, **options):
    forge_command(command(data, out, **options))
    return FaceIndex.read(out / "index.csv")


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
