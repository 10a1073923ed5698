"""Small map files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from focus.mapstore import (
    MapWriter,
    Rows,
)
from focus.mapstore.rows import encode

RUN = {"generator": "stub", "index_fingerprint": "abc", "config": {"k": 1}}


def make_rows(start: int, stop: int, side: int = 14, **parts: np.ndarray) -> Rows:
    rng = np.random.default_rng(start)
    count = stop - start
    return Rows(
        [f"faces/vidéo/{row:06d}.png" for row in range(start, stop)],
        *encode(rng.random((count, side, side), dtype=np.float32)),
        np.array([row % 3 - 1 for row in range(start, stop)], dtype=np.int8),
        rng.random(count, dtype=np.float32),
        parts,
    )


def write(path: Path, count: int = 10, **attributes: str) -> Path:
    rows = make_rows(0, count)
    with MapWriter(path, part_rows=4, **attributes) as writer:
        writer.append(rows.keys, rows.maps, rows.labels, rows.scores)
    return path
