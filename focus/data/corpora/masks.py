"""Write masks from the polygons or colours of a corpus."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.files import replace_file


def name_mask(key: str) -> str:
    """Return the path of a row's mask, relative to the output folder."""
    return f"masks/{key}.png"


def find_mask(root: Path, key: str) -> str:
    """Return the mask of a row relative to ``root``, or empty if it has not been written."""
    name = name_mask(key)
    return name if (root / name).is_file() else ""


def write_mask(folder: Path, key: str, mask: np.ndarray) -> None:
    """Write bool (H, W) as a PNG of 0 and 255, atomically."""
    path = folder / name_mask(key)
    with replace_file(path, within=folder, sync=False) as temporary:
        temporary.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())
