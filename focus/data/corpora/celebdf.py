"""Celeb-DF, version 2 (``cdf``) and version 1 (``cdf1``): celebrities swapped with each other.

::

    Celeb-real/id<a>_<number>.mp4                     real
    YouTube-real/<number>.mp4                         real; also spelled Youtube-real
    Celeb-synthesis/id<a>_id<b>_<number>.mp4          fake
    List_of_testing_videos.txt                        lines "<flag> <folder>/<file>.mp4"

Each folder may hold its videos one level down, in ``videos/``. The list names the test videos; the
rest is train, and there is no val. In the list **flag 1 means real and 0 fake**, the reverse of
FoCus: labels come from the folders, and a flag that disagrees with its folder is an error. A listed
video is a row even if the file is missing, as long as its folder exists.

No masks. The name of a fake gives the person shown, the person whose face was inserted, and the
number of the video: id0_id1_0003 shows id0_0003 with the face of id1. ``original``, ``target`` and
``source`` are derived from these names; the corpus does not document them (unverified). People are
shared between train and test.

Published of version 2: 590 videos in Celeb-real, 300 in YouTube-real, 5639 in Celeb-synthesis, 518
in the list. For version 1, 408 real and 795 fake videos are cited (unverified, not checked).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from focus.data.corpora.reading import (
    build_index,
    find_videos,
    list_names,
    list_videos,
    natural,
    read_text,
    strip_suffix,
)
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import Face, FaceIndex
from focus.data.videos import VIDEO_SUFFIXES
from focus.errors import InputError
from focus.types import FAKE, REAL

LIST = "List_of_testing_videos.txt"
METHOD = "Celeb-synthesis"
_LABELS = {"celeb-real": REAL, "youtube-real": REAL, "celeb-synthesis": FAKE}
_FLAGS = {"1": REAL, "0": FAKE}
_REAL_NAME = re.compile(r"(id\d+)_\d+")
_FAKE_NAME = re.compile(r"(id\d+)_(id\d+)_(\d+)")


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the videos of the three folders, or of those that exist.

    Raises:
        InputError: none of the folders, no list, an invalid line in it, a flag that disagrees with
            its folder, or an unsupported option.
    """
    folders: dict[str, Path] = {}
    for name in list_names(root, folders=True):
        part = name.casefold()
        if part in folders:
            raise InputError(f"{root}: has both {folders[part].name} and {name}; merge them")
        if part in _LABELS:
            folders[part] = root / name
    if not folders:
        looked = "Celeb-real, YouTube-real or Celeb-synthesis"
        raise InputError(f"{root}: not Celeb-DF: no folder {looked}")
    listed = _read_list(root / LIST)
    videos = {part: find_videos(folder) for part, folder in folders.items()}
    return build_index(_list_faces(root, videos, listed), root, options)


def _read_list(path: Path) -> dict[str, set[str]]:
    """Return the test videos of each folder."""
    listed: dict[str, set[str]] = {part: set() for part in _LABELS}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        flag, _, video = line.strip().replace("\\", "/").partition(" ")
        folder, _, name = video.strip().rpartition("/")
        part = folder.casefold()
        if flag not in _FLAGS:
            raise InputError(f"{where} starts with {flag!r}; it must be 1 (real) or 0 (fake)")
        if part not in _LABELS or not name.lower().endswith(VIDEO_SUFFIXES):
            raise InputError(f"{where} does not name a video in a Celeb-DF folder: {video!r}")
        if _FLAGS[flag] != _LABELS[part]:
            raise InputError(
                f"{where} has flag {flag}, which contradicts {folder}; 1 = real, 0 = fake"
            )
        if name in listed[part]:
            raise InputError(f"{where} repeats {video}")
        listed[part].add(name)
    return listed


def _list_faces(
    root: Path, videos: Mapping[str, Path], listed: Mapping[str, set[str]]
) -> Iterator[Face]:
    paths = {
        part: {
            name: (folder.relative_to(root) / name).as_posix()
            for name in sorted({*list_videos(folder), *listed[part]}, key=natural)
        }
        for part, folder in videos.items()
    }
    originals = paths.get("celeb-real", {})
    for part, files in paths.items():
        for name, path in files.items():
            stem, suffix = Path(name).stem, Path(name).suffix
            method, original, extra = "", "", dict[str, str]()
            if parts := _REAL_NAME.fullmatch(stem):
                extra = {"target": parts[1]}
            elif parts := _FAKE_NAME.fullmatch(stem):
                extra = {"target": parts[1], "source": parts[2]}
                original = originals.get(f"{parts[1]}_{parts[3]}{suffix}", "")
            label, split = _LABELS[part], "test" if name in listed[part] else "train"
            if label == FAKE:
                method = METHOD
            video = strip_suffix(path)
            yield Face(path, label, split, method, video, original=original, extra=extra)


_SOURCE = "Li et al., Celeb-DF: A Large-scale Challenging Dataset for DeepFake Forensics, CVPR 2020"
CORPUS = Corpus(
    name="cdf",
    title="Celeb-DF v2",
    source=f"{_SOURCE}; https://github.com/yuezunli/celeb-deepfakeforensics",
    scan=scan,
    unit="video",
    published={"real": 890, "fake": 5639, "test": 518},
)
CORPUS_V1 = Corpus(
    name="cdf1",
    title="Celeb-DF v1",
    source=f"{_SOURCE} (its first version, 2019)",
    scan=scan,
    unit="video",
)
