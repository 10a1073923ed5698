"""FFIW10K (``ffiw``): videos of several people, with some faces swapped.

::

    source/{train,val}[/videos]/*.mp4         real
    target/{train,val}[/videos]/*.mp4         fake
    target_mask/{train,val}[/videos]/*        masks of the fakes, video files

Root is ``FFIW10K-v1-release`` or ``FFIW10K-v1-release-test`` (the download of the test part
alone), or the folder that contains one of them. Label by folder. The folder val, 250 + 250 videos,
is the public test set, so its rows are in ``test`` and there is no val. A folder ``test`` is test
too.

The label is that of the video: a fake shows several faces, only some of them forged; the masks show
which. A fake, its mask and its real counterpart share a stem (unverified; if no file has the same
stem, ``mask`` and ``original`` are empty). Column ``source`` is the split folder and that stem. The
container of the masks is unverified: any video suffix is read.

Published: 10,000 fakes and as many real videos; 16,000 videos in train, 500 in val; the 3,500 of
the test set are not public.
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
    """List the videos of ``source`` and ``target``, or of the one that exists.

    Raises:
        InputError: neither folder, a folder in them that is not a split, or an unsupported option.
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
    masks_of = _list_parts(root, masks)
    for part, videos in originals.items():
        for stem, path in videos.items():
            yield _describe(path, REAL, part, stem)
    for part, videos in _list_parts(root, fake).items():
        for stem, path in videos.items():
            mask = masks_of.get(part, {}).get(stem, "")
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
            raise InputError(f"{root / folder / name}: not an FFIW10K split; expected train or val")
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
