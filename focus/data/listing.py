"""Index rows from files: images or videos of a folder or archive, video frames, and faces."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from focus.data.archives import open_archive
from focus.data.corpora.reading import natural
from focus.data.face_detection import DEFAULT_MARGIN, FaceDetector, enlarge
from focus.data.images import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES, read_face, split_path
from focus.data.index import PATHS, SPLIT_NAMES, Face, FaceIndex
from focus.data.parquet import ParquetImages, list_parquet
from focus.data.videos import VIDEO_SUFFIXES, count_frames
from focus.data.webdataset import LABEL_SUFFIXES, list_samples
from focus.errors import InputError, UnreadableError, count_of
from focus.runtime import note, track
from focus.texts import Texts
from focus.types import FAKE, LABEL_NAMES, REAL, UNKNOWN

_ARCHIVES_OF_FACES = (".tar", ".parquet")
"""Suffixes of archives that a folder may hold in place of images."""


def list_folder(folder: Path, quiet: bool) -> list[Face]:
    """Return a labelled row per image below a folder, in natural order.

    Without images, the rows are those of its tar and Parquet files, else a row per video. If every
    file is below a folder train, val (or validation, valid, dev) or test, that is its split.
    """
    names = sorted(walk_files(folder), key=natural)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise InputError(f"{folder}: contains a file whose name is not UTF-8; rename it") from None
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    videos = [name for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
    archives = [name for name in names if name.lower().endswith(_ARCHIVES_OF_FACES)]
    _note_unsupported(folder, names, quiet)
    if archives and not (images or videos):
        return [face for name in archives for face in list_archive(folder / name, quiet, name)]
    if not names or not (images or videos):
        content = f"{count_of(len(names), 'file')}, but no image or video" if names else "no file"
        if any(name.endswith(".arrow") for name in names):
            content += "; of a dataset that save_to_disk wrote, use its Dataset.to_parquet"
        raise InputError(f"{folder}: contains {content} (images: {' '.join(IMAGE_SUFFIXES)})")
    if images and videos:
        note(
            f"{folder}: uses the {count_of(len(images), 'image')}, not the "
            f"{count_of(len(videos), 'video')}",
            quiet,
        )
    faces = _take_splits(_label(images or videos))
    if images:
        return faces
    return [replace(face, video=str(PurePosixPath(face.path).with_suffix(""))) for face in faces]


def _note_unsupported(place: Path, names: Sequence[str], quiet: bool) -> None:
    """Report image files in unsupported formats."""
    unsupported = [name for name in names if name.lower().endswith(UNSUPPORTED_SUFFIXES)]
    if unsupported:
        named = ", ".join(unsupported[:3]) + (", ..." if len(unsupported) > 3 else "")
        files = count_of(len(unsupported), "image file")
        note(f"{place}: skips {files} in unsupported formats ({named}); convert to PNG", quiet)


def list_archive(path: Path | str, quiet: bool, name: str = "") -> list[Face]:
    """Return a labelled row per image of an archive, in natural order.

    Labels may also be members ``KEY.cls`` or ``KEY.json``, see :mod:`focus.data.webdataset`; a
    Parquet file has columns, see :mod:`focus.data.parquet`.

    Args:
        path: the archive, or its URL.
        quiet: print no notes.
        name: its path in the index; default: its file name, or the URL.

    Raises:
        InputError: the archive cannot be read, or contains no image.
    """
    name = name or (path if isinstance(path, str) else path.name)
    place = Path(path)
    try:
        opened = open_archive(place)
        if isinstance(opened, ParquetImages):
            return list_parquet(opened, name)
        members = list(opened.names())
    except UnreadableError as error:
        raise InputError(f"{path}: {error}") from None
    _note_unsupported(place, members, quiet)
    names = [member for member in members if member.lower().endswith(IMAGE_SUFFIXES)]
    if not names:
        raise InputError(f"{path}: contains no image (images: {' '.join(IMAGE_SUFFIXES)})")
    names.sort(key=natural)
    is_set = any(member.endswith(LABEL_SUFFIXES) for member in members)
    faces = list_samples(place, names, members) if is_set else _label(names)
    return [_move_into(face, name) for face in faces]


def _move_into(face: Face, archive: str) -> Face:
    """Return a face with the paths of members as paths in the archive."""
    linked = {name: value for name in PATHS if (value := getattr(face, name))}
    paths: dict[str, Any] = {name: f"{archive}!/{value}" for name, value in linked.items()}
    return replace(face, **paths)


def drop_missing(index: FaceIndex) -> tuple[FaceIndex, list[str]]:
    """Return the rows whose file is on disk, and the keys of the others.

    In the kept rows, missing masks, originals and regions become empty. For an archive member or a
    frame, the archive or video is checked.
    """

    @functools.lru_cache(maxsize=256)
    def names_in(folder: str) -> frozenset[str]:
        try:
            return frozenset(os.listdir(index.root / folder))
        except OSError:
            return frozenset()

    def is_there(path: str) -> bool:
        file = split_path(path).file if "#" in path or "!/" in path else path
        folder, _, name = file.rpartition("/")
        # Check again for an absolute path, or a case-insensitive file system.
        return name in names_in(folder) or os.path.exists(index.root / file)

    there = np.fromiter(map(is_there, index.keys), np.bool_, len(index))
    kept = index.take(there)
    linked: dict[str, Sequence[str]] = {
        name: Texts.of(kept.columns[name]).change(lambda path: path if is_there(path) else "")
        for name in ("mask", "original", "region")
        if name in kept.columns
    }
    missing = [index.keys[row] for row in np.flatnonzero(~there).tolist()]
    return FaceIndex({**kept.columns, **linked}, kept.labels, index.root), missing


def walk_files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder; skip hidden ones, follow links."""

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror})")

    for current, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if not _loops(Path(current, name))]
        below = Path(current).relative_to(folder)
        yield from ((below / name).as_posix() for name in files if not name.startswith("."))


def _loops(folder: Path) -> bool:
    """Return whether a link points to one of its parent folders."""
    return folder.is_symlink() and any(parent.samefile(folder) for parent in folder.parents)


def _label(names: Sequence[str]) -> list[Face]:
    """Label by the first folder named real or fake, if both exist; set the video to the folder.

    The video is the whole folder path, since folder names repeat below different parents; it is
    empty for a file directly in its label folder or in the top folder.
    """
    faces = []
    for name in names:
        folders = name.split("/")[:-1]
        at = next((i for i, part in enumerate(folders) if part.lower() in LABEL_NAMES), -1)
        label = LABEL_NAMES[folders[at].lower()] if at >= 0 else UNKNOWN
        faces.append(Face(name, label, video="/".join(folders) if folders[at + 1 :] else ""))
    if {REAL, FAKE} <= {face.label for face in faces}:
        return faces
    return [replace(face, label=UNKNOWN) for face in faces]


def _take_splits(faces: list[Face]) -> list[Face]:
    """Set the splits if every file is below a folder such as train or test."""
    splits = [SPLIT_NAMES.get(face.path.partition("/")[0].lower(), "") for face in faces]
    if not all(splits):
        return faces
    return [replace(face, split=split) for face, split in zip(faces, splits, strict=True)]


def index_files(
    root: Path,
    files: list[Face],
    every: int,
    detector: FaceDetector | None,
    quiet: bool = False,
    margin: float = DEFAULT_MARGIN,
) -> FaceIndex:
    """Return the index of files: the files themselves, frames of videos, or the faces in them.

    A file that cannot be read keeps one row, so that readers of the index report it too.

    Args:
        root: folder that the paths of ``files`` are relative to.
        files: images or video frames only, or videos only; at least one.
        every: sample every N-th frame of a video.
        detector: add a row for each face that it detects; None: whole images.
        quiet: show no progress and no notes.
        margin: side of a face crop divided by the longer side of the detected box.

    Raises:
        InputError: no file can be read, or no face is found in any.
    """
    rows, broken = files, dict[str, str]()
    if files[0].path.lower().endswith(VIDEO_SUFFIXES):
        rows, broken = _list_frames(root, rows, every, quiet)
    seen = len(rows)
    if detector is not None:
        rows, broken = _list_faces(root, rows, detector, quiet, margin)
    faults = []
    if broken:
        path, reason = next(iter(broken.items()))
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        faults.append(f"cannot read {root / path}: {reason}{more}")
    if len(rows) == len(broken):
        if len(broken) < seen:
            where = root / files[0].path if len(files) == 1 else root
            faults.append(f"no face found in {where}: use --crop frame")
        raise InputError("; ".join(faults))
    for fault in faults:
        note(fault, quiet)
    return FaceIndex.of(rows, root)


def _list_frames(
    root: Path, videos: list[Face], every: int, quiet: bool
) -> tuple[list[Face], dict[str, str]]:
    """Return a row per sampled frame, and path -> reason of unreadable videos."""
    rows, broken = [], {}
    for video in track(videos, len(videos), "counting frames", "videos", quiet):
        try:
            count = count_frames(root / video.path)
        except UnreadableError as error:
            broken[video.path], count = str(error), 1
        frames = range(0, count, every)
        rows += [replace(video, path=f"{video.path}#{frame}") for frame in frames]
    return rows, broken


def _list_faces(
    root: Path, images: list[Face], detector: FaceDetector, quiet: bool, margin: float
) -> tuple[list[Face], dict[str, str]]:
    """Return a row per face in the images, and path -> reason of unreadable images."""
    rows: list[Face] = []
    broken, faceless = {}, 0
    for image in track(images, len(images), "finding faces", "images", quiet):
        try:
            found = detector.detect(read_face(root, image.path))
            boxes = [enlarge(box, margin) for box in found]
        except UnreadableError as error:
            broken[image.path] = str(error)
            rows.append(image)
            continue
        path = image.path if split_path(image.path).frame is not None else f"{image.path}#0"
        for number, box in enumerate(boxes):
            extra = {"box": " ".join(map(str, box))}
            rows.append(replace(image, path=f"{path}.{number}", extra=extra))
        faceless += not boxes
    if faceless:
        note(
            f"{faceless} of {count_of(len(images), 'image')} have no face and no row",
            quiet,
        )
    return rows, broken
