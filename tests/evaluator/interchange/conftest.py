"""Fixtures shared by the tests of this folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.index import Face, FaceIndex
from tests.evaluator.interchange.making import KEYS, SCORES, SIZES, write_maps


@pytest.fixture
def corpus(tmp_path):
    """Four faces of three sizes with an index, and a map file of 7 x 5 levels."""
    root = tmp_path / "corpus"
    faces = []
    for key, (height, width) in zip(KEYS, SIZES, strict=True):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / key), np.full((height, width, 3), 90, np.uint8))
        faces.append(Face(key, int(not key.startswith("real")), "test"))
    FaceIndex.of(faces, root).write(root / "index.csv")
    levels = np.random.default_rng(0).integers(0, 256, (4, 7, 5), dtype=np.uint8)
    write_maps(root / "maps.h5", KEYS, levels, SCORES, data=str(root / "index.csv"))
    return root
