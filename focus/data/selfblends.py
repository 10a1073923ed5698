"""Self-blends of the real faces of an index, for the loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial

import cv2
import numpy as np

from focus.data.forging.online import (
    SoftForgery,
    find_region,
    forge_on_the_fly,
    wants_donor,
)
from focus.data.images import UnreadableError, read_face, read_mask
from focus.data.index import FaceIndex
from focus.data.photometric import Photometric
from focus.data.transforms import Geometry
from focus.types import REAL

_ATTEMPTS = 20
_LEAST_SEEN = 0.5
"""Share of the forged content that crop and cut-out must leave, so that a fake looks like one."""


class SelfBlends:
    """Forges faces of an index in memory; the result depends on the row and the seed only.

    Args:
        index: the faces; with a column ``region``, their place is read from it.
        kinds: the kinds of :data:`focus.data.forging.online.KINDS` to choose from.
    """

    def __init__(self, index: FaceIndex, kinds: Sequence[str]) -> None:
        self.index, self.kinds = index, tuple(kinds)
        self._regions = index.columns.get("region")

    @cached_property
    def _real(self) -> np.ndarray:
        return np.flatnonzero(self.index.labels == REAL)

    def forge(
        self,
        row: int,
        image: np.ndarray,
        seed: tuple[int, ...],
        geometry: Geometry,
        light: Photometric,
    ) -> SoftForgery:
        """Return a forgery of a face that is still visible in its augmented image.

        Args:
            row: the row of the face.
            image: its image, uint8 (H, W, 3), RGB.
            seed: seeds all random choices.
            geometry: the crop that follows.
            light: the photometric augmentation that follows.

        Raises:
            UnreadableError: no visible change in twenty attempts, as in a blank image or a crop
                beside the face.
        """
        rng = np.random.default_rng(seed)
        donor = self._choose_donor(row, image, rng) if wants_donor(self.kinds) else None
        region = self._read_region(row)
        for _ in range(_ATTEMPTS):
            forgery = forge_on_the_fly(image, donor, rng, self.kinds, region)
            if forgery is None:
                continue
            seen = geometry.apply(light.hide(forgery.weight)).sum() * geometry.side**2
            if seen >= _LEAST_SEEN * forgery.weight.sum():
                return forgery
        raise UnreadableError("cannot be forged visibly: a blank image, or a crop beside the face")

    def _read_region(self, row: int) -> tuple[float, float, float, float] | None:
        path = self._regions[row] if self._regions else ""
        if not path:
            return None
        try:
            return find_region(read_mask(self.index.root / path))
        except UnreadableError as error:
            raise UnreadableError(f"region {path}: {error}") from None

    def _choose_donor(
        self, row: int, image: np.ndarray, rng: np.random.Generator
    ) -> Callable[[], np.ndarray | None] | None:
        """Choose another real face; return a function that reads it once, at the image's size."""
        donor = int(rng.choice(self._real))
        return None if donor == row else cache(partial(self._read_donor, donor, image))

    def _read_donor(self, donor: int, image: np.ndarray) -> np.ndarray | None:
        """Return a face at the size of the image; None if it cannot be read."""
        box = self.index.column("box")[donor]
        try:
            other = read_face(self.index.root, self.index.keys[donor], box, min(image.shape[:2]))
        except UnreadableError:
            return None  # reported when that row itself is drawn
        return cv2.resize(other, image.shape[1::-1], interpolation=cv2.INTER_AREA)
