"""Cards: a face with its image, truth and maps, and their pixel AUC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from focus.data.cropping import PADDED, Box, locate_padding, parse_box, paste
from focus.data.images import VIDEO_SUFFIXES, read_face, read_mask, split_path
from focus.data.index import Face, FaceIndex
from focus.data.videos import describe_frame
from focus.errors import UnreadableError
from focus.mapstore import MapReader
from focus.runtime import track
from focus.view.overlay import FaceMap, Image, Mask, resize_map

IMAGE_SIDE = 384


@dataclass(frozen=True)
class Card:
    """A row of the index with everything that is shown for it."""

    row: int
    face: Face
    score: float
    """P(fake) in the first map file, NaN if it has none."""
    image: Image | None
    """uint8 RGB (H, W, 3), no side above 384; None if unreadable."""
    mask: Mask | None
    """Truth, bool (H, W); None if missing or unreadable."""
    maps: tuple[FaceMap | None, ...]
    """float32 (h, w), one per map file; None if the file has no map of this face."""
    modalities: tuple[Image | None, ...] = ()
    """uint8 RGB like ``image``, one per requested modality; None if unreadable."""
    padded: str = ""
    """The image's edges within the crop (see :func:`~focus.data.cropping.locate_padding`); pixels
    beyond them are not marked and do not count."""
    place: str = ""
    """File, number and time of the frame of a video; empty for an image."""
    fault: str = ""
    """Reason why a file of this row could not be read; empty if none."""

    @property
    def pixel_aucs(self) -> tuple[float, ...]:
        """Pixel AUC of every map; NaN without a map or without both classes in a mask."""
        return tuple(
            float("nan")
            if self.mask is None or values is None
            else pixel_auc(values, self.mask, locate_padding(self.padded, self.mask.shape))
            for values in self.maps
        )


@dataclass(frozen=True)
class Collection:
    """The faces shown, the open map files by name, and the text above them."""

    index: FaceIndex
    readers: Mapping[str, MapReader]
    title: str = ""
    facts: Sequence[tuple[str, str]] = ()
    """Names and values, shown in one line below the title."""
    notices: Sequence[str] = ()
    """Warnings about how to interpret the maps."""
    metrics: Sequence[Mapping[str, str]] = ()
    """Each with ``name``, ``meaning``, ``value`` and ``note``."""
    frames: Path | None = None
    """Folder of the images that the faces were cut from, to show maps on those instead."""
    modalities: Mapping[str, str] = field(default_factory=dict)
    """Modalities shown for each face: name -> explanation of its colours."""
    basis: str = ""
    """Split, threshold and intervals of the metrics."""

    def __len__(self) -> int:
        return len(self.index)

    def cards(self, quiet: bool = False) -> Iterator[Card]:
        """Read the faces one by one, in the order of the index."""
        readers = list(self.readers.values())
        cards = (
            read_card(self.index, row, readers, self.frames, list(self.modalities))
            for row in range(len(self))
        )
        return track(cards, len(self), "view", "faces", quiet)


def read_card(
    index: FaceIndex,
    row: int,
    readers: Sequence[MapReader],
    frames: Path | None = None,
    modalities: Sequence[str] = (),
) -> Card:
    """Read the card of one row; an unreadable file is recorded in its ``fault``.

    Args:
        index: the faces.
        row: in [0, len(index)).
        readers: map files; the first gives the score.
        frames: folder of the images that faces were cut from: maps and masks are pasted back onto
            those; a row without a recorded source is shown as it is.
        modalities: names; computed from the image that is shown, before it is shrunk.
    """
    face = index[row]
    image, mask, faults = None, None, []
    views: list[Image | None] = [None] * len(modalities)
    source = find_frame(index.root, face, frames) if frames is not None else None
    try:
        if source is not None:
            whole = read_face(source.root, source.path)
        else:
            # A JPEG decodes several times faster at reduced size.
            smallest = None if modalities else IMAGE_SIDE
            whole = read_face(index.root, face.path, face.extra.get("box", ""), smallest)
        image = shrink(whole, IMAGE_SIDE)
        views = [shrink(view, IMAGE_SIDE) for view in _show_modalities(whole, modalities)]
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
    if source is not None and image is not None:
        size = (whole.shape[0], whole.shape[1])
        maps = tuple(None if values is None else paste(values, source.box, size) for values in maps)
        mask = None if mask is None else paste(mask, source.box, size) > 0.5
    # Pasted maps and masks end at the edge of the image.
    padded = "" if source is not None else face.extra.get(PADDED, "")
    maps = tuple(_clear_padding(values, padded) for values in maps)
    mask = _clear_padding(mask, padded)
    place = describe_place(index.root, face, frames)
    fault = "; ".join(faults)
    return Card(row, face, score, image, mask, maps, tuple(views), padded, place, fault)


def _clear_padding(plane: np.ndarray | None, padded: str) -> np.ndarray | None:
    """Return a map or mask with zeros beyond the edge of the image."""
    if plane is None:
        return None
    outside = locate_padding(padded, (plane.shape[0], plane.shape[1]))
    return plane if outside is None else plane * ~outside


def _show_modalities(image: Image, names: Sequence[str]) -> list[Image]:
    if not names:  # importing kornia is slow
        return []
    from focus.view.modality import show_modality

    return [show_modality(image, name) for name in names]


def describe_place(root: Path, face: Face, frames: Path | None) -> str:
    """Return file, number and time of the video frame that a face is from; empty for an image.

    Args:
        root: folder of the index.
        face: a row of the index: a frame of a video, or a prepared face with the columns ``source``
            and ``frame``.
        frames: folder that ``source`` is relative to; None: without the time.
    """
    name, frame = split_path(face.path), face.extra.get("frame", "")
    video, number = root / name.file, name.frame
    if number is None and frame.isdecimal():
        video, number = (frames or Path()) / face.extra.get("source", ""), int(frame)
    if number is None or not video.name.lower().endswith(VIDEO_SUFFIXES):
        return ""
    return f"{video.name}, {describe_frame(video, number)}"


class FrameSource(NamedTuple):
    """The image that a face was cut from, and the box."""

    root: Path
    path: str
    box: Box


def find_frame(root: Path, face: Face, frames: Path) -> FrameSource | None:
    """Return the source of a face, from a path like ``clip.mp4#12.0`` or the columns of prepare.

    Args:
        root: folder of the index.
        face: a row of the index.
        frames: folder that the column ``source`` of prepared faces is relative to.
    """
    box = face.extra.get("box", "")
    try:
        if box and split_path(face.path).face is not None:
            return FrameSource(root, face.path.rpartition(".")[0], parse_box(box))
        if box and face.extra.get("source"):
            path = face.extra["source"]
            if path.lower().endswith(VIDEO_SUFFIXES):
                path += f"#{face.extra.get('frame', '0')}"
            return FrameSource(frames, path, parse_box(box))
    except ValueError:  # an invalid box: show the face alone
        return None
    return None


def pixel_auc(face_map: FaceMap, mask: Mask, padding: Mask | None = None) -> float:
    """Return the area under the ROC curve of a map over the pixels of one face.

    The share of (manipulated, untouched) pixel pairs in the right order, ties counted half:
    normalised Mann-Whitney U. Counting in two sorted arrays is about twenty times as fast as
    computing the curve, which matters for ten thousand faces.

    Args:
        face_map: float (h, w), resized bilinearly to the mask.
        mask: bool (H, W).
        padding: bool (H, W), pixels to leave out.

    Returns:
        In [0, 1]; NaN if the mask has only one class.
    """
    values = resize_map(face_map, (mask.shape[0], mask.shape[1]))
    counted = np.ones_like(mask) if padding is None else ~padding
    inside, outside = np.sort(values[mask & counted]), np.sort(values[~mask & counted])
    if not inside.size or not outside.size:
        return float("nan")
    below = np.searchsorted(outside, inside, "left").sum()
    not_above = np.searchsorted(outside, inside, "right").sum()
    return float((below + not_above) / (2 * inside.size * outside.size))


def shrink(plane: np.ndarray, side: int) -> np.ndarray:
    """Shrink an image or float plane by area averaging until no side exceeds ``side``."""
    scale = side / max(plane.shape[:2])
    if scale >= 1:
        return plane
    height, width = (max(1, round(length * scale)) for length in plane.shape[:2])
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))
