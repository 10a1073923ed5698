"""FFIW10K (``ffiw``): videos of several people, some of whose faces are swapped.

::

    source/{train,val}[/videos]/*.mp4         real
    target/{train,val}[/videos]/*.mp4         fake
    target_mask/{train,val}[/videos]/*        masks of the fakes, video files

Root is ``FFIW10K-v1-release`` or ``FFIW10K-v1-release-test`` (the download of the test part
alone), or the folder in which one of them lies. Label by folder. The folder val, 250 + 250 videos,
is the public test set, so its rows are of ``test``; no val remains. A folder ``test`` counts as
test too.

The label is that of the video: a fake shows several faces, of which only some are forged. Which
ones, the masks say. A fake, its mask and its real counterpart have one stem (unverified; where no
file has the same stem, ``mask`` and ``original`` are empty). The stem is the pair, in the column
``source``. The container of the masks is unverified: any video suffix is read.

Published: 10,000 fakes with as many real ones, 16,000 videos of both for train, 500 in val; the
3,500 of the test set are not public.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from focus.data.corpora.folders import find_folder
from focus.data.corpora.reading import build_index, find_videos, list_names, list_videos
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

RELEASES = ("FFIW10K-v1-release", "FFIW10K-v1-release-test")
_SPLITS = {"train": "train", "val": "test", "test": "test"}


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the videos of ``source`` and ``target``, or of the one that is there.

    Raises:
        InputError: neither folder, a folder in them that is no split, or an option that FFIW does
            not have.
    """
    for base in ("", *RELEASES):
        real, fake = (
            find_folder(root, posixpath.join(base, name)) for name in ("source", "target")
        )
        if real or fake:
            masks = find_folder(root, posixpath.join(base, "target_mask"))
            return build_index(_list_faces(root, real, fake, masks), root, options)
    raise InputError(f"{root}: not FFIW10K: no folder source (real) or target (fake)")


def _list_faces(root: Path, real: str, fake: str, masks: str) -> Iterator[Face]:
    originals = _list_parts(root, real)
    truths = _list_parts(root, masks)
    for part, videos in originals.items():
        for stem, path in videos.items():
            yield _describe(path, REAL, part, stem)
    for part, videos in _list_parts(root, fake).items():
        for stem, path in videos.items():
            mask = truths.get(part, {}).get(stem, "")
            yield _describe(path, FAKE, part, stem, mask, originals.get(part, {}).get(stem, ""))


def _describe(
    path: str, label: int, part: str, stem: str, mask: str = "", original: str = ""
) -> Face:
    video = posixpath.splitext(path)[0]
    split, extra = _SPLITS[part], {"source": f"{part}/{stem}"}
    return Face(path, label, split, video=video, mask=mask, original=original, extra=extra)


def _list_parts(root: Path, folder: str) -> dict[str, dict[str, str]]:
    """Return split folder -> stem -> path of the videos below source, target or target_mask."""
    parts: dict[str, dict[str, str]] = {}
    for name in list_names(root / folder, folders=True) if folder else ():
        if name not in _SPLITS:
            raise InputError(f"{root / folder / name}: no split of FFIW10K; it has train and val")
        videos = find_videos(root / folder / name)
        below = videos.relative_to(root).as_posix()
        names = list_videos(videos)
        parts[name] = {posixpath.splitext(video)[0]: f"{below}/{video}" for video in names}
    return parts


CORPUS = Corpus(
    name="ffiw",
    title="FFIW10K",
    source="Zhou et al., Face Forensics in the Wild, CVPR 2021; https://github.com/tfzhou/FFIW",
    scan=scan,
    unit="video",
    published={
        "": 16500,
        "train real": 8000,
        "train fake": 8000,
        "test real": 250,
        "test fake": 250,
    },
)
