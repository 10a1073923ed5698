"""The mean mask of other faces: a baseline map that uses only the usual place of forgeries."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 64


class MaskPrior:
    """Mean truth mask on a 64 x 64 grid, optionally without the masks of one video.

    Masks of any size are area-averaged to the grid; memory grows with the number of videos (16 kB
    each).
    """

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}
        self._total = np.zeros((SIDE, SIDE), dtype=np.float32)
        self.count = 0

    def add(self, mask: np.ndarray, video: str) -> None:
        """Add one face's mask, bool (H, W); a face without a video needs a unique name."""
        small = shrink(mask)
        self._sums[video] = self._sums.get(video, 0) + small
        self._counts[video] = self._counts.get(video, 0) + 1
        self._total += small
        self.count += 1

    def without(self, videos: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each of B videos, the mean mask of all other videos.

        Returns:
            float32 (B, 64, 64) in [0, 1], zeros if there are no others; and bool (B,), whether
            there are others.
        """
        nothing = np.zeros((SIDE, SIDE), dtype=np.float32)
        own = np.stack([self._sums.get(video, nothing) for video in videos])
        others = self.count - np.array([self._counts.get(video, 0) for video in videos])
        means = (self._total - own) / np.maximum(others, 1).astype(np.float32)[:, None, None]
        return np.where(others[:, None, None] > 0, np.clip(means, 0, 1), np.float32(0)), others > 0


def shrink(mask: np.ndarray) -> np.ndarray:
    """Return the share of a mask in each cell of the grid, float32 (64, 64)."""
    return cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
