"""Truth that a corpus keeps as polygons or colours, written out as masks on demand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.files import replace_file


def name_mask(key: str) -> str:
    """Return where the mask of a row is written, relative to the folder of the masks."""
    return f"masks/{key}.png"


def find_mask(root: Path, key: str) -> str:
    """Return the mask of a row if it has been written below ``root``, relative to it; or empty."""
    name = name_mask(key)
    return name if (root / name).is_file() else ""


def write_mask(folder: Path, key: str, mask: np.ndarray) -> None:
    """Write bool (H, W) as a PNG of 0 and 255, whole, in one rename."""
    path = folder / name_mask(key)
    with replace_file(path, within=folder, sync=False) as temporary:
        temporary.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())
