"""One face as people look at it: its picture, its truth, its maps, and how well they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.images import read_face, read_mask
from focus.data.index import Face, FaceIndex
from focus.errors import UnreadableError
from focus.mapstore import MapReader
from focus.runtime import track
from focus.view.overlay import FaceMap, Mask, Picture, resize_map

PICTURE_SIDE = 384


@dataclass(frozen=True)
class Card:
    """A row of the index with all that is shown of it."""

    row: int
    face: Face
    score: float
    """P(fake) in the first map file, NaN if it has none."""
    picture: Picture | None
    """uint8 RGB (H, W, 3), no side above 384; None when it could not be read."""
    mask: Mask | None
    """Truth, bool (H, W); None when there is none or it could not be read."""
    maps: tuple[FaceMap | None, ...]
    """float32 (h, w), one per map file; None where a file has no map of this face."""
    fault: str = ""
    """Why a file of this row could not be read."""

    @property
    def pixel_aucs(self) -> tuple[float, ...]:
        """Pixel AUC of every map; NaN without a map or without both classes in a mask."""
        return tuple(
            float("nan") if self.mask is None or values is None else pixel_auc(values, self.mask)
            for values in self.maps
        )


@dataclass(frozen=True)
class Collection:
    """The faces that are shown, the open map files by name, and what is said of them on top."""

    index: FaceIndex
    readers: Mapping[str, MapReader]
    title: str = ""
    facts: Sequence[tuple[str, str]] = ()
    """Names and values, in one line below the title."""
    notices: Sequence[str] = ()
    """What a reader must know not to be misled."""
    metrics: Sequence[Mapping[str, str]] = ()
    """Each with ``name``, ``value`` and ``note``."""
    basis: str = ""
    """What the metrics were measured on, and at which threshold."""

    def __len__(self) -> int:
        return len(self.index)

    def cards(self, quiet: bool = False) -> Iterator[Card]:
        """Read the faces one by one, in the order of the index."""
        readers = list(self.readers.values())
        cards = (read_card(self.index, row, readers) for row in range(len(self)))
        return track(cards, len(self), "view", "faces", quiet)


def read_card(index: FaceIndex, row: int, readers: Sequence[MapReader]) -> Card:
    """Read what is shown of one row; an unreadable file becomes the card's ``fault``.

    Args:
        index: the faces.
        row: in [0, len(index)).
        readers: map files; the first gives the score.
    """
    face = index[row]
    picture, mask, faults = None, None, []
    try:
        # A JPEG decodes several times faster at part of its size.
        box = face.extra.get("box", "")
        whole = read_face(index.root, face.path, box, smallest=PICTURE_SIDE)
        picture = shrink(whole, PICTURE_SIDE)
    except UnreadableError as error:
        faults.append(str(error))
    if face.mask:
        try:
            mask = read_mask(index.root / face.mask)
        except UnreadableError as error:
            faults.append(f"mask: {error}")
    key = face.key
    maps = tuple(reader[key] if key in reader else None for reader in readers)  # noqa: SIM401
    score = readers[0].score(key) if maps[0] is not None else float("nan")
    return Card(row, face, score, picture, mask, maps, "; ".join(faults))


def pixel_auc(face_map: FaceMap, mask: Mask) -> float:
    """Return the area under the ROC curve of a map over the pixels of one face.

    The share of (manipulated, untouched) pixel pairs that the map puts in the right order, ties
    half: Mann and Whitney's U. Counted in two sorted halves, some twenty times faster than from a
    curve, which matters for ten thousand faces.

    Args:
        face_map: float (h, w), resized bilinearly to the mask.
        mask: bool (H, W).

    Returns:
        In [0, 1]; NaN when the mask holds only one class.
    """
    values = resize_map(face_map, (mask.shape[0], mask.shape[1]))
    inside, outside = np.sort(values[mask]), np.sort(values[~mask])
    if not inside.size or not outside.size:
        return float("nan")
    below = np.searchsorted(outside, inside, "left").sum()
    not_above = np.searchsorted(outside, inside, "right").sum()
    return float((below + not_above) / (2 * inside.size * outside.size))


def shrink(plane: np.ndarray, side: int) -> np.ndarray:
    """Return a picture or a float plane with no side longer than ``side``, averaged by area."""
    scale = side / max(plane.shape[:2])
    if scale >= 1:
        return plane
    height, width = (max(1, round(length * scale)) for length in plane.shape[:2])
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))
