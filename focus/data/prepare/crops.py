"""A clip to face crops: find, follow, choose, cut, and a row of the new index for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from focus.data.cropping import (
    Box,
    FaceBox,
    crop,
    format_box,
    measure_cover,
    measure_padding,
    resize,
)
from focus.data.face_detection import FaceDetector
from focus.data.images import count_frames, read_mask, split_path
from focus.data.index import Face
from focus.data.prepare.frames import PictureReader, at_frame, spread
from focus.data.prepare.planning import Clip
from focus.data.prepare.tracks import follow, steady_boxes
from focus.errors import InputError, UnreadableError
from focus.files import replace_file
from focus.types import FAKE

RECORDS = ".prepare"
"""Folder of what is finished, and of what is being written."""
ADDED = ("source", "frame", "box", "detector", "score", "track")
PADDED = "padded"
"""Column for the share of a crop that lies beyond the image's edge; empty for most."""
"""Columns of the new index. A further column of such a name is kept as ``<name>_id``: corpora call
the person whose face was put in ``source``."""
ALSO_FORGED = 0.5


@dataclass(frozen=True)
class CropConfig:
    """Which frames and faces are taken, and how they are cut and saved."""

    frames: int = 10
    """Frames of each video, evenly spread over it; 0: all."""
    faces: Literal["largest", "forged", "all"] = "largest"
    """Of each frame: the largest face; those that the mask marks (else the largest); or all."""
    enlarge: float = 1.3
    """Side of the crop over the longer side of the face's box."""
    size: int = 0
    """Resize crops to so many pixels a side; 0: leave them as cut, which loses nothing."""
    png: bool = False
    """Save crops as PNG, without loss; they take several times the room."""
    quality: int = 95
    """JPEG quality of the crops."""

    def __post_init__(self) -> None:
        for name, least in (("frames", 0), ("enlarge", 0.5), ("size", 0), ("quality", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} {getattr(self, name)}: must be {least} or more")
        if self.quality > 100:
            raise InputError(f"--quality {self.quality}: must be 100 or less")
        if self.faces not in ("largest", "forged", "all"):
            raise InputError(f"--faces {self.faces}: use largest, forged or all")


@dataclass
class Outcome:
    """What became of some clips, in plain values that JSON can keep.

    Attributes:
        rows: of the new index: column -> text, but ``label``, a number.
        failures: (path, reason) of clips that cannot be read; they have no row.
        gaps: (path, reason) of what is missing: a face in a clip; a mask, original or region.
        counts: ``pictures`` looked at; of them, those that are ``faceless``, and those without
            the ``mask``, ``original`` or ``region`` that their row names; of fakes' faces, those
            ``guessed`` to be the forged one, and those whose mask is ``blank``.
    """

    rows: list[dict[str, str | int]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    gaps: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Take in what became of other clips."""
        self.rows += other.rows
        self.failures += other.failures
        self.gaps += other.gaps
        self.counts.update(other.counts)


class Picture(NamedTuple):
    """One image to find faces in; its row names one frame throughout."""

    row: Face
    frame: int
    name: str


class Seen(NamedTuple):
    """An image with its faces: as detected, the tracks they belong to, the squares to cut."""

    picture: Picture
    faces: Sequence[FaceBox]
    tracks: Sequence[int]
    boxes: Sequence[Box]


class Cropper:
    """Cuts the faces out of clips.

    Args:
        root: the folder that clips and their rows are relative to.
        out: where ``crops/``, ``masks/``, ``originals/`` and ``regions/`` go.
        config: what is taken, and how.
        detector: finds faces.
        name: of the detector, for the rows.
    """

    def __init__(
        self, root: Path, out: Path, config: CropConfig, detector: FaceDetector, name: str
    ) -> None:
        self._root, self._out, self._config = root, out, config
        self._detector, self._name = detector, name

    def cut(self, clips: Sequence[Clip]) -> Outcome:
        """Cut the faces out of clips; one that cannot be read becomes a failure.

        Raises:
            InputError: a crop cannot be written.
        """
        total = Outcome()
        for clip in clips:
            total.add(self._attempt(clip))
        return total

    def _attempt(self, clip: Clip) -> Outcome:
        try:
            return self._cut(clip)
        except UnreadableError as error:
            return Outcome(failures=[(clip.path, str(error))])

    def _cut(self, clip: Clip) -> Outcome:
        reader, losses = PictureReader(self._root), _Losses()
        pictures = list(list_pictures(self._root, clip, self._config.frames))
        outcome = Outcome(counts=Counter(pictures=len(pictures)))
        for seen in self._look(pictures, reader, losses):
            outcome.counts["faceless"] += not seen.faces
            outcome.rows += self._save(seen, clip, reader, losses, outcome.counts)
        if not outcome.rows:
            where = f" in {len(pictures)} frames" if clip.is_video else ""
            outcome.gaps.append((clip.path, f"no face found{where}"))
        outcome.gaps += losses.describe(len(pictures))
        outcome.counts.update(losses.counts)
        return outcome

    def _look(
        self, pictures: Sequence[Picture], reader: PictureReader, losses: _Losses
    ) -> Iterator[Seen]:
        """Find the faces of all images, then follow them.

        A fake is cut by the box found in its original where there is one, as papers do: both have
        the same crop, and what a forgery does to a detector moves no box.
        """
        known, found = list[Picture](), list[list[FaceBox]]()
        for picture in pictures:
            image, row, original = reader.read(picture.row.path), picture.row, None
            if row.original:
                original = losses.attempt(
                    "original", row.original, partial(reader.read, row.original), image
                )
                if original is None:
                    picture = picture._replace(row=replace(row, original=""))
            faces = self._detector.detect(original) if original is not None else []
            known.append(picture)
            found.append(faces or self._detector.detect(image))
        tracks = follow(found)
        boxes = steady_boxes(found, tracks, self._config.enlarge)
        return map(Seen, known, found, tracks, boxes)

    def _save(
        self,
        seen: Seen,
        clip: Clip,
        reader: PictureReader,
        losses: _Losses,
        counts: Counter[str],
    ) -> Iterator[dict[str, str | int]]:
        """Cut and write the chosen faces of an image; yield a row for each."""
        if not seen.faces:
            return
        row = seen.picture.row
        image = reader.read(row.path)
        truth = {
            kind: losses.attempt(kind, path, partial(read_mask, self._root / path), image)
            for kind, path in (("mask", row.mask), ("region", row.region))
            if path
        }
        mask = truth.get("mask")
        chosen, is_guess = choose(seen.faces, self._config.faces, mask)
        counts["guessed"] += is_guess and row.label == FAKE
        original = reader.read(row.original) if row.original else None
        for place in chosen:
            box, name = seen.boxes[place], f"{seen.picture.name}.{place}"
            files = {"path": self._write("crops", name, crop(image, box))}
            if original is not None:
                files["original"] = self._write("originals", name, crop(original, box))
            for kind, area in truth.items():
                if area is not None:
                    cut = crop(area, box)
                    files[kind] = self._write(f"{kind}s", name, cut)
                    counts["blank"] += kind == "mask" and row.label == FAKE and not cut.any()
            padding = measure_padding(box, (image.shape[0], image.shape[1]))
            counts[PADDED] += padding > 0
            files[PADDED] = f"{padding:.3f}" if padding > 0 else ""
            yield self._describe(seen, place, clip, files)

    def _describe(
        self, seen: Seen, place: int, clip: Clip, files: dict[str, str]
    ) -> dict[str, str | int]:
        row, face = seen.picture.row, seen.faces[place]
        further = {f"{name}_id" if name in ADDED else name: row.extra[name] for name in row.extra}
        return {
            "label": row.label,
            "split": row.split,
            "method": row.method,
            "video": row.video or clip.name,
            **files,
            **further,
            "source": clip.path,
            "frame": str(seen.picture.frame),
            "box": format_box(seen.boxes[place]),
            "detector": self._name,
            "score": f"{face.score:.3f}",
            "track": str(seen.tracks[place]),
        }

    def _write(self, kind: str, name: str, image: np.ndarray) -> str:
        """Write a crop (RGB), or a mask (bool) as PNG of 0 and 255; return its path below out."""
        lossless = self._config.png or image.dtype == bool
        pixels = (
            np.uint8(255) * image if image.dtype == bool else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        )
        if self._config.size:
            pixels = resize(pixels, self._config.size)
        if image.dtype == bool:
            pixels = np.where(pixels > 127, np.uint8(255), np.uint8(0))
        suffix = ".png" if lossless else ".jpg"
        options = [] if lossless else [cv2.IMWRITE_JPEG_QUALITY, self._config.quality]
        path = f"{kind}/{name}{suffix}"
        with replace_file(self._out / path, self._out / RECORDS, sync=False) as temporary:
            temporary.write_bytes(cv2.imencode(suffix, pixels, options)[1].tobytes())
        return path


class _Losses:
    """Masks, originals and regions that a clip has to do without, and why."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._reasons: dict[tuple[str, str], list[str]] = {}

    def attempt(
        self, kind: str, path: str, read: Callable[[], np.ndarray], like: np.ndarray
    ) -> np.ndarray | None:
        """Read an image that must be as large as another; None, and noted, if that fails."""
        try:
            image = read()
            if image.shape[:2] == like.shape[:2]:
                return image
            (height, width), (rows, columns) = image.shape[:2], like.shape[:2]
            reason = f"{height} x {width} pixels, where the image has {rows} x {columns}"
        except UnreadableError as error:
            reason = str(error)
        self.counts[kind] += 1
        self._reasons.setdefault((split_path(path).file, kind), []).append(reason)
        return None

    def describe(self, pictures: int) -> list[tuple[str, str]]:
        """Return file and reason, a line for each file."""
        share = " for {} of {} frames" if pictures > 1 else ""
        return [
            (file, f"no {kind}{share.format(len(reasons), pictures)}: {reasons[0]}")
            for (file, kind), reasons in self._reasons.items()
        ]


def list_pictures(root: Path, clip: Clip, frames: int) -> Iterator[Picture]:
    """Yield the images of a clip: the photograph, the frames that rows name, or a choice.

    Raises:
        UnreadableError: a video without a frame that can be decoded.
    """
    if not clip.is_video:
        yield Picture(clip.rows[0], 0, clip.name)
        return
    rows = {split_path(row.path).frame or 0: row for row in clip.rows}
    if clip.whole:
        rows = dict.fromkeys(spread(count_frames(root / clip.path), frames), clip.rows[0])
    for frame, row in rows.items():
        exact = replace(
            row,
            path=at_frame(clip.path, frame),
            mask=at_frame(row.mask, frame),
            original=at_frame(row.original, frame),
            region=at_frame(row.region, frame),
        )
        yield Picture(exact, frame, f"{clip.name}/{frame:05d}")


def choose(
    faces: Sequence[FaceBox], which: str, mask: np.ndarray | None
) -> tuple[Sequence[int], bool]:
    """Return the places of the faces to take, and whether the largest stands in for the forged.

    Args:
        faces: of one image, the largest first.
        which: ``largest``, ``all``, or ``forged``: the face with the largest part of its box under
            the mask, and those with at least half as much; the largest, without a mask on any.
        mask: bool (H, W) of the image, if it has one.
    """
    if which == "all":
        return range(len(faces)), False
    if which == "largest" or not faces:
        return range(min(len(faces), 1)), False
    covered = [0.0]
    if mask is not None:
        whole = [(round(f.left), round(f.top), round(f.right), round(f.bottom)) for f in faces]
        covered = [measure_cover(mask, box) for box in whole]
    if max(covered) == 0:
        return range(1), True
    least = ALSO_FORGED * max(covered)
    return [place for place, share in enumerate(covered) if share >= least], False
