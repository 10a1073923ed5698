"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.index import Face, FaceIndex
from tests.focus.generation.making import COUNT


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> FaceIndex:
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    faces = []
    for row in range(COUNT):
        cv2.imwrite(str(root / f"{row:02d}.png"), rng.integers(0, 256, (32, 32, 3), np.uint8))
        faces.append(Face(f"{row:02d}.png", label=row % 3 - 1))
    made = FaceIndex.of(faces, root)
    made.write(root / "index.csv")
    return made
