"""The mean mask of other faces: what knowing nothing but the usual place gives for a map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 64


class MaskPrior:
    """Mean truth mask on a 64 x 64 grid, from which a face's own video can be left out.

    Masks of any size are added by their area; memory grows with the number of videos (16 kB each).
    """

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}
        self._total = np.zeros((SIDE, SIDE), dtype=np.float32)
        self.count = 0

    def add(self, mask: np.ndarray, video: str) -> None:
        """Add one face's mask, bool (H, W); faces without a video have a name of their own."""
        small = shrink(mask)
        self._sums[video] = self._sums.get(video, 0) + small
        self._counts[video] = self._counts.get(video, 0) + 1
        self._total += small
        self.count += 1

    def without(self, videos: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each of B videos, the mean mask of the others.

        Returns:
            float32 (B, 64, 64) in [0, 1], and bool (B,): whether there are others; zeros if not.
        """
        nothing = np.zeros((SIDE, SIDE), dtype=np.float32)
        own = np.stack([self._sums.get(video, nothing) for video in videos])
        others = self.count - np.array([self._counts.get(video, 0) for video in videos])
        means = (self._total - own) / np.maximum(others, 1).astype(np.float32)[:, None, None]
        return np.where(others[:, None, None] > 0, np.clip(means, 0, 1), np.float32(0)), others > 0


def shrink(mask: np.ndarray) -> np.ndarray:
    """Return the share of a mask in each cell of the grid, float32 (64, 64)."""
    return cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
