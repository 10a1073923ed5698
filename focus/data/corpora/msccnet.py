"""Pixel-level FaceForensics++ of MSCCNet (``msccnet``): face crops with new masks.

::

    train.txt, valid.txt, test.txt               names of fakes, "<target>_<source>", one per line
    <type>/<comp>/youtube/<id>/*.png             real crops; comp is C0 (raw), C23 or C40
    <type>/<comp>/<Method>/<target>_<source>/*.png   fake crops, same box and file names
    <type>/Mask/<Method>/<target>_<source>/*.png     masks, one set for all compressions

The lists may be in the folder of a type instead, and then apply to that type. A fake has the split
of the list that names it, a real video the split of the fakes whose target it is (its id comes
before the ``_``). Unlisted videos have no split: the authors left one direction of one pair out of
all lists. ``valid`` is val.

Masks come from the difference of real and fake, dilated, made convex, eroded and blurred; they are
0 or 255. Every type may have its own copy of the real crops, so a real frame appears up to five
times: it is one row, from the first type that has it, and ``original`` is the copy in the fake's
own type.

Published: 143,724 images in train, where each fake comes with its real frame, so 71,862 fakes;
16,922 in val and 16,929 in test, where each real frame is counted once: 13,862 and 13,900 fakes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from focus.data.corpora.folders import find_folder
from focus.data.corpora.lists import find_lists, read_lines
from focus.data.corpora.reading import choose_methods, list_names, walk
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

COMPRESSIONS = {"raw": ("C0", "raw"), "c23": ("C23",), "c40": ("C40",)}
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "FaceShifter", "NeuralTextures")
YOUTUBE = "youtube"
_PAIR = re.compile(r"[0-9]+_[0-9]+")


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the crops of one compression: the chosen one, else c23, else the only one.

    Raises:
        InputError: no crops of a compression, no lists, an invalid line, a video in two splits, a
            folder that is not a method, or an unsupported option.
    """
    types = ["", *list_names(root, folders=True)]
    level = _choose_level(root, types, options.compression)
    index = FaceIndex.of(_list_faces(root, types, level), root)
    return choose_methods(index, options.methods)


def _choose_level(root: Path, types: list[str], wanted: str) -> str:
    there = [level for level in COMPRESSIONS if any(_find(root, name, level) for name in types)]
    if not there:
        raise InputError(f"{root}: not MSCCNet: no folder <type>/C0, <type>/C23 or <type>/C40")
    level = "raw" if wanted.lower() == "c0" else wanted.lower()
    if not level and "c23" not in there and len(there) > 1:
        raise InputError(f"{root}: no c23; choose a compression: {', '.join(there)}")
    level = level or ("c23" if "c23" in there else there[0])
    if level not in there:
        raise InputError(f"compression {wanted}: not in {root} (available: {', '.join(there)})")
    return level


def _find(root: Path, kind: str, level: str) -> str:
    return find_folder(root, *(posixpath.join(kind, name) for name in COMPRESSIONS[level]))


def _list_faces(root: Path, types: list[str], level: str) -> Iterator[Face]:
    seen: set[str] = set()
    for kind in types:
        if folder := _find(root, kind, level):
            splits = _read_splits(root, kind)
            real = list(walk(root / folder / YOUTUBE, IMAGE_SUFFIXES))
            new = [name for name in real if name not in seen]
            seen.update(new)
            for name in new:
                yield _describe_real(folder, name, splits)
            masks = find_folder(root, posixpath.join(kind, "Mask"))
            for method in _list_methods(root / folder):
                yield from _list_fakes(root, folder, masks, method, set(real), splits)


def _describe_real(folder: str, name: str, splits: Mapping[str, str]) -> Face:
    number = posixpath.dirname(name)
    video, extra = f"{YOUTUBE}/{number}", {"target": number}
    return Face(f"{folder}/{YOUTUBE}/{name}", REAL, splits.get(number, ""), "", video, extra=extra)


def _list_fakes(
    root: Path, folder: str, masks: str, method: str, real: Set[str], splits: Mapping[str, str]
) -> Iterator[Face]:
    found = set(walk(root / masks / method, IMAGE_SUFFIXES)) if masks else set()
    for name in walk(root / folder / method, IMAGE_SUFFIXES):
        pair, _, frame = name.rpartition("/")
        if not _PAIR.fullmatch(pair):
            raise InputError(f"{root / folder / method / name}: not in a folder <target>_<source>")
        target, _, source = pair.partition("_")
        mask = f"{masks}/{method}/{name}" if name in found else ""
        counterpart = f"{target}/{frame}"
        original = f"{folder}/{YOUTUBE}/{counterpart}" if counterpart in real else ""
        path, video, split = f"{folder}/{method}/{name}", f"{method}/{pair}", splits.get(pair, "")
        extra = {"target": target, "source": source}
        yield Face(path, FAKE, split, method, video, mask, original, extra=extra)


def _list_methods(folder: Path) -> list[str]:
    names = [name for name in list_names(folder, folders=True) if name != YOUTUBE]
    for name in names:
        if name not in METHODS:
            known = ", ".join((YOUTUBE, *METHODS))
            raise InputError(f"{folder / name}: not an MSCCNet method (known: {known})")
    return names


def _read_splits(root: Path, kind: str) -> dict[str, str]:
    """Return the split of every listed fake and of its target, the real video."""
    lists = find_lists(root, kind) or find_lists(root, "")
    if not lists:
        raise InputError(f"{root / kind}: no train.txt, valid.txt or test.txt, here or in {root}")
    splits: dict[str, str] = {}
    for entry in lists:
        for number, pair in read_lines(root / entry.path):
            where = f"{root / entry.path}: line {number}"
            if not _PAIR.fullmatch(pair):
                raise InputError(f"{where} must be the name of a fake, such as 000_003: {pair!r}")
            for video in (pair, pair.partition("_")[0]):
                if splits.setdefault(video, entry.split) != entry.split:
                    raise InputError(f"{where}: {video} is in {splits[video]} in another list")
    return splits


_TRAIN = (14378, 14362, 14380, 14380, 14362)
_VAL = (2780, 2761, 2780, 2780, 2761)
CORPUS = Corpus(
    name="msccnet",
    title="Pixel-level FaceForensics++ of MSCCNet",
    source="Miao et al., Multi-spectral Class Center Network for Face Manipulation Detection and "
    "Localization",
    scan=scan,
    unit="face",
    published={
        "val": 16922,
        "test": 16929,
        **{f"train fake {method}": count for method, count in zip(METHODS, _TRAIN, strict=True)},
        **{f"val fake {method}": count for method, count in zip(METHODS, _VAL, strict=True)},
        **{f"test fake {method}": 2780 for method in METHODS},
    },
)
