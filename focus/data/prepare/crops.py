"""The face crops of a clip: detect, track, choose and cut faces, one index row each."""

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
    PADDED,
    Box,
    FaceBox,
    crop,
    describe_padding,
    format_box,
    measure_cover,
    resize,
)
from focus.data.face_detection import FaceDetector
from focus.data.images import count_frames, read_mask, split_path
from focus.data.index import Face
from focus.data.prepare.frames import ImageReader, at_frame, spread
from focus.data.prepare.planning import Clip
from focus.data.prepare.tracks import follow, steady_boxes
from focus.errors import InputError, UnreadableError, count_of
from focus.files import replace_file
from focus.types import FAKE

RECORDS = ".prepare"
"""Folder of the records of finished work, and of temporary files."""
ADDED = ("source", "frame", "box", "detector", "score", "track")
"""Columns of the new index. A source column with such a name is kept as ``<name>_id``: corpora use
``source`` for the person whose face was inserted."""
ALSO_FORGED = 0.5


@dataclass(frozen=True)
class CropConfig:
    """Choice of frames and faces, and settings of the crops."""

    frames: int = 10
    """Number of evenly spaced frames of each video; 0: all."""
    faces: Literal["largest", "forged", "all"] = "largest"
    """Faces of each frame: the largest, those marked by the mask (else the largest), or all."""
    enlarge: float = 1.3
    """Side of the crop relative to the longer side of the face box."""
    size: int = 0
    """Side of the crops in pixels; 0: do not resize."""
    png: bool = False
    """Save crops as lossless PNG; needs several times the disk space."""
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
    """Result of some clips, in plain JSON values.

    Attributes:
        rows: rows of the new index: column -> text, except ``label``, a number.
        failures: (path, reason) of unreadable clips; they have no row.
        gaps: (path, reason) of clips without a face, and of missing masks, originals or regions.
        counts: images that are ``faceless``, and those without the ``mask``, ``original`` or
            ``region`` that their row names; of fakes' faces, those ``guessed`` to be the forged
            one, and those whose mask is ``blank``.
    """

    rows: list[dict[str, str | int]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    gaps: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Add the result of other clips."""
        self.rows += other.rows
        self.failures += other.failures
        self.gaps += other.gaps
        self.counts.update(other.counts)


class SourceImage(NamedTuple):
    """One image to detect faces in; all paths of its row name a single frame."""

    row: Face
    frame: int
    name: str


class DetectedFaces(NamedTuple):
    """The faces of an image: as detected, their track numbers, and the squares to cut."""

    source: SourceImage
    faces: Sequence[FaceBox]
    tracks: Sequence[int]
    boxes: Sequence[Box]


class Cropper:
    """Cuts the faces out of clips.

    Args:
        root: the folder that clips and their rows are relative to.
        out: where ``crops/``, ``masks/``, ``originals/`` and ``regions/`` go.
        config: choice of frames and faces, and settings of the crops.
        detector: the face detector.
        name: name of the detector, for the rows.
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
        reader, losses = ImageReader(self._root), _Losses()
        sources = list(list_images(self._root, clip, self._config.frames))
        outcome = Outcome()
        for seen in self._detect(sources, reader, losses):
            outcome.counts["faceless"] += not seen.faces
            outcome.rows += self._save(seen, clip, reader, losses, outcome.counts)
        if not outcome.rows:
            where = f" in {count_of(len(sources), 'frame')}" if clip.is_video else ""
            outcome.gaps.append((clip.path, f"no face found{where}"))
        outcome.gaps += losses.describe(len(sources))
        outcome.counts.update(losses.counts)
        return outcome

    def _detect(
        self, sources: Sequence[SourceImage], reader: ImageReader, losses: _Losses
    ) -> Iterator[DetectedFaces]:
        """Detect the faces of all images, then track them.

        If a fake has an original, its boxes are detected in the original, as in papers: both get
        the same crop, and the forgery cannot shift the box.
        """
        known, found = list[SourceImage](), list[list[FaceBox]]()
        for source in sources:
            image, row, original = reader.read(source.row.path), source.row, None
            if row.original:
                original = losses.attempt(
                    "original", row.original, partial(reader.read, row.original), image
                )
                if original is None:
                    source = source._replace(row=replace(row, original=""))
            faces = self._detector.detect(original) if original is not None else []
            known.append(source)
            found.append(faces or self._detector.detect(image))
        tracks = follow(found)
        boxes = steady_boxes(found, tracks, self._config.enlarge)
        return map(DetectedFaces, known, found, tracks, boxes)

    def _save(
        self,
        seen: DetectedFaces,
        clip: Clip,
        reader: ImageReader,
        losses: _Losses,
        counts: Counter[str],
    ) -> Iterator[dict[str, str | int]]:
        """Cut and write the chosen faces of an image; yield a row for each."""
        if not seen.faces:
            return
        row = seen.source.row
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
            box, name = seen.boxes[place], f"{seen.source.name}.{place}"
            files = {"path": self._write("crops", name, crop(image, box))}
            if original is not None:
                files["original"] = self._write("originals", name, crop(original, box))
            for kind, area in truth.items():
                if area is not None:
                    cut = crop(area, box)
                    files[kind] = self._write(f"{kind}s", name, cut)
                    counts["blank"] += kind == "mask" and row.label == FAKE and not cut.any()
            padding = describe_padding(box, (image.shape[0], image.shape[1]))
            counts[PADDED] += bool(padding)
            files[PADDED] = padding
            yield self._describe(seen, place, clip, files)

    def _describe(
        self, seen: DetectedFaces, place: int, clip: Clip, files: dict[str, str]
    ) -> dict[str, str | int]:
        row, face = seen.source.row, seen.faces[place]
        further = {f"{name}_id" if name in ADDED else name: row.extra[name] for name in row.extra}
        return {
            "label": row.label,
            "split": row.split,
            "method": row.method,
            "video": row.video or clip.name,
            **files,
            **further,
            "source": clip.path,
            "frame": str(seen.source.frame),
            "box": format_box(seen.boxes[place]),
            "detector": self._name,
            "score": f"{face.score:.3f}",
            "track": str(seen.tracks[place]),
        }

    def _write(self, kind: str, name: str, image: np.ndarray) -> str:
        """Write a crop (RGB) or a mask (bool, as PNG of 0 and 255); return its path."""
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
    """Missing masks, originals and regions of a clip, and the reasons."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._reasons: dict[tuple[str, str], list[str]] = {}

    def attempt(
        self, kind: str, path: str, read: Callable[[], np.ndarray], like: np.ndarray
    ) -> np.ndarray | None:
        """Read an image of the same size as ``like``; on failure, record it and return None."""
        try:
            image = read()
            if image.shape[:2] == like.shape[:2]:
                return image
            (height, width), (rows, columns) = image.shape[:2], like.shape[:2]
            reason = f"{height} x {width} pixels, but the image has {rows} x {columns}"
        except UnreadableError as error:
            reason = str(error)
        self.counts[kind] += 1
        self._reasons.setdefault((split_path(path).file, kind), []).append(reason)
        return None

    def describe(self, images: int) -> list[tuple[str, str]]:
        """Return (file, reason) for each file."""
        share = " for {} of {} frames" if images > 1 else ""
        return [
            (file, f"no {kind}{share.format(len(reasons), images)}: {reasons[0]}")
            for (file, kind), reasons in self._reasons.items()
        ]


def list_images(root: Path, clip: Clip, frames: int) -> Iterator[SourceImage]:
    """Yield the images of a clip: the photograph, the frames in its rows, or chosen frames.

    Raises:
        UnreadableError: a video of which no frame can be decoded.
    """
    if not clip.is_video:
        yield SourceImage(clip.rows[0], 0, clip.name)
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
        yield SourceImage(exact, frame, f"{clip.name}/{frame:05d}")


def choose(
    faces: Sequence[FaceBox], which: str, mask: np.ndarray | None
) -> tuple[Sequence[int], bool]:
    """Return the indices of the chosen faces, and whether the largest replaces the forged one.

    Args:
        faces: of one image, the largest first.
        which: ``largest``, ``all``, or ``forged``: the face with the largest share of its box under
            the mask, and those with at least half that share; the largest, if the mask is on none.
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
