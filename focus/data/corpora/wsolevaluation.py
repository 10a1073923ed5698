"""Metadata of wsolevaluation (``wsol``): lists of ids, classes and masks, one folder per split.

::

    [metadata/[<name>/]]<split>/image_ids.txt       one path per line
    [metadata/[<name>/]]<split>/class_labels.txt    path,class: 0 real, 1 fake
    [metadata/[<name>/]]<split>/localization.txt    path,mask[,ignore]; optional

Splits are train, val and test. Paths of images and masks are relative to the root. Column
``ignore`` keeps the third field, pixels that wsolevaluation does not evaluate; FoCus does not use
it.

An image in image_ids.txt without a class is an error; a class of an image not in image_ids.txt is
skipped. A list of boxes (five fields), as in CUB, and a second mask for one image, as in
OpenImages, are rejected: a row has one mask. Only the file names and the order of fields are
specified; fields after the mask are unverified.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from focus.data.corpora.folders import find_folder
from focus.data.corpora.lists import localise, read_lines, remember
from focus.data.corpora.reading import build_index, list_names
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import SPLITS, Face, FaceIndex
from focus.errors import InputError, count_of
from focus.types import FAKE, REAL

IDS, CLASSES, MASKS = "image_ids.txt", "class_labels.txt", "localization.txt"
_LABELS = {"0": REAL, "1": FAKE}


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of every split.

    Raises:
        InputError: no split with ``image_ids.txt``, an invalid line in a list, an image without a
            class, or an unsupported option.
    """
    named = [f"metadata/{name}" for name in list_names(root / "metadata", folders=True)]
    for base in ("", "metadata", *named):
        folders = {split: find_folder(root, posixpath.join(base, split)) for split in SPLITS}
        found = {split: name for split, name in folders.items() if _has(root, name, IDS)}
        if found:
            return build_index(_list_faces(root, found), root, options)
    raise InputError(
        f"{root}: not wsolevaluation: no {IDS} in a folder train, val or test, here, in metadata/ "
        "or in a folder below it"
    )


def _has(root: Path, folder: str, name: str) -> bool:
    return bool(folder) and (root / folder / name).is_file()


def _list_faces(root: Path, folders: Mapping[str, str]) -> Iterator[Face]:
    base, seen = root.absolute().as_posix(), dict[str, str]()
    for split, folder in folders.items():
        labels = _read_labels(root / folder / CLASSES)
        masks: dict[str, list[str]] = {}
        if _has(root, folder, MASKS):
            masks = {name: fields for _, name, *fields in _read_fields(root / folder / MASKS, 2, 3)}
        for number, name in read_lines(root / folder / IDS):
            where = f"{root / folder / IDS}: line {number}"
            remember(seen, name, where)
            if name not in labels:
                raise InputError(f"{where}: {name} has no line in {CLASSES}")
            mask, ignore = (*masks.get(name, ()), "", "")[:2]
            mask = localise(base, mask) if mask else ""
            path, extra = localise(base, name), {"ignore": ignore}
            yield Face(path, labels[name], split, mask=mask, extra=extra)


def _read_labels(path: Path) -> dict[str, int]:
    labels = {}
    for number, name, label in _read_fields(path, 2):
        if label not in _LABELS:
            raise InputError(f"{path}: line {number} has class {label!r}; use 0 (real) or 1 (fake)")
        labels[name] = _LABELS[label]
    return labels


def _read_fields(path: Path, *counts: int) -> Iterator[tuple[str, ...]]:
    """Yield number and fields of each line; ``counts`` are the permitted numbers of fields."""
    seen: dict[str, str] = {}
    for number, line in read_lines(path):
        where = f"{path}: line {number}"
        fields = [field.strip() for field in line.split(",")]
        if len(fields) not in counts:
            wanted = " or ".join(map(str, counts))
            raise InputError(f"{where} has {count_of(len(fields), 'field')}, not {wanted}")
        remember(seen, fields[0], where)
        yield str(number), *fields


CORPUS = Corpus(
    name="wsol",
    title="Lists of wsolevaluation",
    source="Choe et al., Evaluating Weakly Supervised Object Localization Methods Right, "
    "CVPR 2020; https://github.com/clovaai/wsolevaluation",
    scan=scan,
)
