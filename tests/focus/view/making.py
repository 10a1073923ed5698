"""Faces with maps, some of them hostile."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.data.index import Face, FaceIndex
from focus.mapstore import MapWriter
from focus.runtime import Runtime

HOSTILE = "x<\x2fscript><script>window.hacked=1<\x2fscript><img src=x onerror=window.hacked=2>.png"
QUIET = Runtime(quiet=True)
SIDE = 32


def make_faces(folder: Path, count: int, hostile: bool = False, **attributes: str) -> Path:
    """Write alternating real and fake faces with falling scores; return their maps.

    The map of a fake is its mask, except the last fake's, which is the opposite.
    """
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:20, 8:24] = 255
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "mask.png"), mask)
    truth = cv2.resize(mask, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    faces, maps = [], []
    for number in range(count):
        fake = number % 2
        name = HOSTILE if hostile and number == 1 else f"face-{number:03d}.png"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(90, 120, (SIDE, SIDE, 3)).astype(np.uint8)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        split = "val" if number < count // 2 else "test"
        method = ("<b>swap</b>" if number % 4 == 1 else "blend") if fake else ""
        mask_name = "mask.png" if fake else ""
        faces.append(Face(name, fake, split, method, f"video{number // 2}", mask_name))
        last = number >= count - 2
        maps.append((1 - truth if last else truth) if fake else np.zeros_like(truth))
    FaceIndex.of(faces, folder).write(folder / "index.csv")
    attributes = {"generator": "test", "data": str(folder / "index.csv"), **attributes}
    with MapWriter(folder / "maps.h5", attributes) as writer:
        scores = np.linspace(0.95, 0.05, count)
        labels = [face.label for face in faces]
        writer.append([face.key for face in faces], np.stack(maps), labels, scores)
    return folder / "maps.h5"
