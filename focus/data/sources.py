"""Open the data of ``--data`` (corpus, index, folder, archive, image or video) as a face index."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from focus.config import from_json, to_json
from focus.data.archives import ARCHIVE_SUFFIXES
from focus.data.coco import list_coco
from focus.data.corpus import CORPORA, Corpus, ScanOptions
from focus.data.face_detection import (
    DEFAULT_FACE_DETECTOR,
    DEFAULT_MARGIN,
    check_face_detector,
    open_face_detector,
)
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import SPLITS, Face, FaceIndex
from focus.data.listing import drop_missing, index_files, list_archive, list_folder
from focus.data.published import count_missing, count_published
from focus.data.remote import is_url
from focus.data.subject import are_whole
from focus.data.videos import VIDEO_SUFFIXES
from focus.errors import InputError, count_of
from focus.runtime import note

INDEX_NAME = "index.csv"
_NUMBERED = re.compile(r"\{(\d+)\.\.(\d+)\}")
ROOT_VARIABLE = "FOCUS_DATA"
_FORMER_FIELDS = {"detector": "face_detector", "detector_weights": "face_detector_weights"}

_FORMER_FACE_DETECTOR = "yunet"  # of a map file that does not name it


@dataclass(frozen=True)
class Source:
    """Where the faces are, and which to use."""

    data: str = ""
    """Corpus name, index file (.csv), folder, archive (tar, zip, Parquet; also a URL), COCO file
    (.json), image or video."""
    root: Path | None = None
    """Root folder of the corpus (default: $FOCUS_DATA/NAME) or of the index's relative paths."""
    every: int = 10
    """Sample every N-th video frame."""
    crop: Literal["auto", "frame", "faces"] = "auto"
    """Use whole images (frame), or each face that is detected in them (faces). auto: faces where
    focus generate is given photographs or clips, else frame."""
    face_detector: str = DEFAULT_FACE_DETECTOR
    """Face detector: centerface (built in), yunet, retinaface or retinaface-mobilenet."""
    face_detector_weights: Path | None = None
    """Weights file of the face detector (default: $FOCUS_DETECTOR_WEIGHTS)."""
    margin: float = 0.0
    """Side of a face crop divided by the longer side of the detected box; 0: as the model was
    trained (focus generate), else 1.3."""
    split: str = ""
    """Use this split only: train, val or test."""
    methods: tuple[str, ...] = ()
    """Use these forgery methods only; real faces are kept."""
    compression: str = ""
    """Compression level, for corpora that have several: raw, c23 or c40."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"--every {self.every}: must be 1 or more")
        if self.crop not in ("auto", "frame", "faces"):
            raise InputError(f"--crop {self.crop}: use auto, frame or faces")
        check_face_detector(self.face_detector)
        if self.margin and not 1 <= self.margin <= 4:
            raise InputError(f"--margin {self.margin:g}: must be in [1, 4], or 0 for the default")
        if self.split and self.split not in SPLITS:
            raise InputError(f"--split {self.split}: use {', '.join(SPLITS)}")


def open_source(source: Source, quiet: bool = False) -> FaceIndex:
    """Return the index of the source that ``source.data`` names.

    Tried in this order: a corpus of the entry points ``focus.corpora`` (write ``./NAME`` for a
    folder of the same name); an index file; a folder (its ``index.csv``, else its images, else its
    archives, else its videos); an archive of images; a COCO file; an image; a video. Archives may
    be at a URL, or numbered: ``faces-{000..099}.tar``. Files that a corpus lists but that are not
    on disk are skipped and counted in one line.

    Sub-folders named ``real`` and ``fake`` (or ``0_real`` and ``1_fake``, in any case) set the
    labels if both exist. Paths are relative to the folder, or to the folder of the file. With
    ``crop="faces"`` a row is a detected face, its box enlarged by ``margin`` in column ``box``.

    Raises:
        InputError: the source is not found or not usable, or a flag does not apply to it.
    """
    return open_listed(source, quiet)[0]


def open_listed(source: Source, quiet: bool = False) -> tuple[FaceIndex, list[str]]:
    """Return the index as ``open_source`` does, and the listed files of a corpus not on disk."""
    index = _open(source, quiet)
    if len(index) == 0:
        raise InputError(f"{source.data}: the index has no row")
    if source.methods and "method" in index.columns and source.data not in CORPORA.names():
        index = index.where(methods=source.methods)
    if source.split:
        splits = count_splits(index) or "no splits"
        index = index.where(split=source.split)
        if len(index) == 0:
            raise InputError(
                f"--split {source.split}: no face of {source.data} is in this split ({splits})"
            )
    corpus = find_corpus(source, index.root)
    if corpus is None:
        return index, []
    index, missing = drop_missing(index)
    if len(index) == 0:
        raise InputError(
            f"{source.data}: none of the {count_of(len(missing), 'file')} that it lists "
            f"is in {index.root}, "
            f"such as {missing[0]}; is this the right --root?"
        )
    counts = count_published(index, corpus, source.split, bool(source.methods))
    lacking = max(len(missing), count_missing(counts))
    if lacking:
        unit = count_of(lacking, "video" if corpus.counted == "videos" else corpus.unit)
        note(f"{corpus.title}: a subset; {unit} of the published ones not on disk", quiet)
    return index, missing


def open_crops(source: Source, quiet: bool = False) -> tuple[FaceIndex, Source]:
    """Open the source of a model of face crops: as :func:`open_source`, ``--crop auto`` decided.

    The faces of photographs are cropped, and crops stay whole; see
    :func:`~focus.data.subject.are_whole`. An index or a corpus lists the faces to use, and images
    without a face stay whole: auto stays.

    Returns:
        The index, and the source with the decision.

    Raises:
        InputError: as in :func:`open_source`.
    """
    index = open_source(source, quiet)
    path = Path(source.data).expanduser()
    listed = (path / INDEX_NAME).is_file() or path.name.lower().endswith(".csv")
    if source.crop != "auto" or listed or source.data in CORPORA.names():
        return index, source
    detector = open_face_detector(source.face_detector, source.face_detector_weights)
    if not are_whole(index, detector):
        return index, source
    note("photographs: crops each face that is detected (--crop frame: uses whole images)", quiet)
    margin = source.margin or DEFAULT_MARGIN
    faces = index_files(index.root, list(index), source.every, detector, quiet, margin)
    return faces, replace(source, crop="faces")


def find_corpus(source: Source, root: Path) -> Corpus | None:
    """Return the corpus of a source; None for an index, files or folders."""
    if source.data not in CORPORA.names() or (root / INDEX_NAME).is_file():
        return None
    return CORPORA.get(source.data)


def describe_source(source: Source) -> dict[str, Any]:
    """Return the map-file attributes from which :func:`reopen` finds the faces.

    Paths become absolute, so that they work in any directory; a corpus name is kept.
    """
    plain = to_json(Source())
    rest = {name: value for name, value in to_json(source).items() if value != plain[name]}
    if source.crop == "faces":  # its default has changed
        rest["face_detector"] = source.face_detector
    data, root = rest.pop("data", ""), rest.pop("root", None) or ""
    if data not in CORPORA.names():
        data = _make_absolute(data)
    return {"data": data, "root": _make_absolute(root), "source": rest}


def _make_absolute(path: str) -> str:
    expanded = Path(path).expanduser()
    return os.path.abspath(expanded) if path and expanded.exists() else path


def reopen(
    attributes: Mapping[str, Any], source: Source, maps: Path | str, all_splits: bool = False
) -> FaceIndex:
    """Return the faces that a map file was made from, or those of ``source`` if it names any.

    See :func:`recall_source`.

    Raises:
        InputError: the map file does not record its faces, or they are missing.
    """
    recalled = recall_source(attributes, source, maps, all_splits)
    try:
        return open_source(recalled)
    except InputError as error:
        if source.data:
            raise
        raise InputError(f"{error} (the faces recorded in {maps}; give --data)") from None


def recall_source(
    attributes: Mapping[str, Any], source: Source, maps: Path | str, all_splits: bool = False
) -> Source:
    """Return the source that a map file was made from, or ``source`` if it names any.

    Args:
        attributes: attributes of the map file.
        source: flags from the user; its ``root`` and ``split`` apply in either case.
        maps: name of the map file, for messages.
        all_splits: the faces of all splits, even if the maps are of one split.

    Raises:
        InputError: the map file does not record its faces.
    """
    if source.data:
        return source
    if not attributes.get("data"):
        raise InputError(f"{maps}: does not record which faces it is of; give --data")
    try:
        kept = dict(json.loads(str(attributes.get("source") or "{}")))
        kept = {_FORMER_FIELDS.get(name, name): value for name, value in kept.items()}
        if kept.get("crop") == "faces":
            kept.setdefault("face_detector", _FORMER_FACE_DETECTOR)
        recorded = from_json(Source, {**kept, "data": str(attributes["data"])})
        made_in = str(attributes.get("root", ""))
        root = source.root or (Path(made_in) if made_in else None)
        split = source.split or ("" if all_splits else recorded.split)
        return replace(recorded, root=root, split=split)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{error} (the faces recorded in {maps}; give --data)") from None


def check_source(source: Source) -> None:
    """Check that the source can exist, without listing it.

    Raises:
        InputError: no ``--data``, a map file, or no such file, folder or corpus.
    """
    if not source.data:
        kinds = "a corpus name, an index file (.csv), a folder, an archive, an image or a video"
        raise InputError(f"--data is missing: give {kinds}")
    path = Path(source.data).expanduser()
    if path.name.lower().endswith((".h5", ".hdf5")):
        raise InputError(f"--data {source.data}: a map file; use --maps for it")
    named = is_url(source.data) or _NUMBERED.search(source.data) or source.data in CORPORA.names()
    if not named and not path.exists():
        raise InputError(f"--data {source.data}: {_explain_unknown(source.data)}")


def _open(source: Source, quiet: bool) -> FaceIndex:
    check_source(source)
    path = Path(source.data).expanduser()
    if is_url(source.data) or (_NUMBERED.search(source.data) and not path.exists()):
        return _open_archives(source, quiet)
    if source.data in CORPORA.names():
        if path.exists():
            note(
                f"--data {source.data}: uses the corpus, not the file or folder ./{source.data}",
                quiet,
            )
        return _open_corpus(source)
    return _open_path(path, source, quiet)


def _open_path(path: Path, source: Source, quiet: bool) -> FaceIndex:
    """Return the index of a local file or folder."""
    name = path.name.lower()
    if path.is_dir() and (path / INDEX_NAME).is_file():
        return _read_index(path / INDEX_NAME, source)
    if path.is_file() and name.endswith(".csv"):
        return _read_index(path, source)
    if name.endswith(".json"):
        root = source.root or path.parent
        return _make_rows(root, list_coco(path, root), source, quiet)
    if source.root:
        raise InputError(f"--root applies to a corpus name or an index file, not to {source.data}")
    if path.is_dir():
        return _make_rows(path, list_folder(path, quiet), source, quiet)
    if name.endswith(ARCHIVE_SUFFIXES):
        return _make_rows(path.parent, list_archive(path, quiet), source, quiet)
    if name.endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)):
        video = path.stem if name.endswith(VIDEO_SUFFIXES) else ""
        return _make_rows(path.parent, [Face(path.name, video=video)], source, quiet)
    raise InputError(
        f"{source.data}: not an index (.csv), a folder, an archive, an image or a video"
    )


def _open_archives(source: Source, quiet: bool) -> FaceIndex:
    """Return the images of an archive at a URL, or of numbered ones: ``faces-{000..099}.tar``."""
    if not source.data.lower().endswith(ARCHIVE_SUFFIXES):
        raise InputError(
            f"--data {source.data}: only archives are read by URL or by numbers "
            f"({' '.join(ARCHIVE_SUFFIXES)})"
        )
    found = _NUMBERED.search(source.data)
    names = [source.data]
    if found:
        width, last = len(found[1]), int(found[2])
        numbers = (f"{number:0{width}}" for number in range(int(found[1]), last + 1))
        names = [source.data.replace(found[0], number) for number in numbers]
    root = Path() if is_url(source.data) else Path(source.data).expanduser().parent
    files = names if is_url(source.data) else [root / Path(name).name for name in names]
    faces = [face for file in files for face in list_archive(file, quiet)]
    if not faces:
        raise InputError(f"--data {source.data}: names no archive")
    return _make_rows(root, faces, source, quiet)


def _make_rows(root: Path, files: list[Face], source: Source, quiet: bool) -> FaceIndex:
    detector = None
    if source.crop == "faces":
        detector = open_face_detector(source.face_detector, source.face_detector_weights)
    margin = source.margin or DEFAULT_MARGIN
    return index_files(root, files, source.every, detector, quiet, margin)


def _read_index(path: Path, source: Source, root: Path | None = None) -> FaceIndex:
    if source.crop == "faces":
        raise InputError(f"--crop faces: {path} already lists the faces to use")
    root = root or source.root
    if root and not Path(root).is_dir():
        raise InputError(f"--root {root}: no such folder")
    return FaceIndex.read(path, root or None)


def _open_corpus(source: Source) -> FaceIndex:
    name = source.data
    if source.crop == "faces":
        raise InputError(
            f"--crop faces applies to files, not to a corpus: see focus prepare {name}"
        )
    base = os.environ.get(ROOT_VARIABLE, "")
    root = Path(source.root) if source.root else Path(base or f"${ROOT_VARIABLE}") / name
    if not root.exists():
        how = f"give --root DIR, or set {ROOT_VARIABLE} to the folder that contains {name}/"
        here = f"; for the folder here, use ./{name}" if Path(name).exists() else ""
        raise InputError(f"corpus {name}: folder {root} not found; {how}{here}")
    if (root / INDEX_NAME).is_file():
        return FaceIndex.read(root / INDEX_NAME)
    options = ScanOptions(source.compression, source.methods)
    return CORPORA.get(name).scan(root, options)


def _explain_unknown(name: str) -> str:
    path = Path(name).expanduser()
    beside = os.listdir(path.parent) if path.parent.is_dir() else []
    corpora = {corpus: corpus for corpus in CORPORA.names()}
    places = corpora | {other: str(path.parent / other) for other in beside}
    near = difflib.get_close_matches(path.name, places, n=1, cutoff=0.7)
    known = ", ".join(CORPORA.names()) or "none is installed"
    hint = f"; perhaps {places[near[0]]}?" if near else ""
    return f"no such file, folder or corpus (known: {known}){hint}"


def count_splits(index: FaceIndex) -> str:
    """Return the faces of each split, such as ``8 train, 2 val``; empty if there are none."""
    values = index.column("split")
    return ", ".join(f"{values.count(name)} {name}" for name in SPLITS if name in values)
