"""Any collection in IMDL-BenCo format (``imdl``): folders Tp and Gt, or JSON lists.

::

    Tp/*           fake
    Gt/*           masks
    Au/*           real, optional

    <name>.json    [[image, mask], [image, "Negative"], ...]

The folders are used if Tp exists, else every ``.json`` directly in the root. A mask in Gt has the
stem of its image, or ``<stem>_gt``; IMDL-BenCo pairs the two folders by order, which one extra file
shifts. A mask without an image is reported on standard error, an image without a mask is a row
without one.

In a list, ``"Negative"`` in place of the mask means real, a mask means fake. Paths are relative to
the root, or absolute. The split is the word train, val (valid) or test in the list's file name;
``Au``, ``Tp`` and other lists have none.

Lists of data sets instead of images are rejected: those of the ``BalancedDataset`` (class names and
paths) and ``test_datasets.json`` (names and paths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focus.data.corpora.folders import find_folder, pair_masks
from focus.data.corpora.lists import localise, remember
from focus.data.corpora.reading import build_index, list_names, read_json, walk
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

NEGATIVE = "Negative"
_SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of the folders, or of the lists.

    Raises:
        InputError: neither folder Tp nor a list, a list with another structure, an image listed
            twice, two masks for one image, or an unsupported option.
    """
    if tampered := find_folder(root, "Tp"):
        return build_index(_list_folders(root, tampered), root, options)
    lists = list_names(root, (".json",))
    if not lists:
        raise InputError(f"{root}: not IMDL-BenCo: no folder Tp and no JSON list")
    return build_index(_list_entries(root, lists), root, options)


def _list_folders(root: Path, tampered: str) -> Iterator[Face]:
    if authentic := find_folder(root, "Au"):
        for name in walk(root / authentic, IMAGE_SUFFIXES):
            yield Face(f"{authentic}/{name}", REAL)
    for path, mask in pair_masks(root, tampered, find_folder(root, "Gt")).items():
        yield Face(path, FAKE, mask=mask)


def _list_entries(root: Path, lists: list[str]) -> Iterator[Face]:
    base, seen = root.absolute().as_posix(), dict[str, str]()
    for name in lists:
        entries = read_json(root / name)
        if not isinstance(entries, list):
            raise InputError(f"{root / name}: must be a list of [image, mask] or {_negative()}")
        split = _name_split(name)
        for number, entry in enumerate(entries, 1):
            where = f"{root / name}: entry {number}"
            image, mask = _check_entry(entry, where)
            path = localise(base, image)
            remember(seen, path, where)
            if mask == NEGATIVE:
                yield Face(path, REAL, split)
            else:
                yield Face(path, FAKE, split, mask=localise(base, mask))


def _check_entry(entry: Any, where: str) -> tuple[str, str]:
    is_pair = isinstance(entry, list) and len(entry) == 2
    if not is_pair or not all(isinstance(part, str) and part for part in entry):
        raise InputError(f"{where} must be [image, mask] or {_negative()}: {str(entry)[:80]}")
    image, mask = entry
    for part in (image, mask):
        if part != NEGATIVE and not part.lower().endswith(IMAGE_SUFFIXES):
            raise InputError(f"{where} must list images (lists of data sets are not read): {part}")
    return image, mask


def _negative() -> str:
    return f'[image, "{NEGATIVE}"]'


def _name_split(name: str) -> str:
    found = {_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS}
    return found.pop() if len(found) == 1 else ""


CORPUS = Corpus(
    name="imdl",
    title="IMDL-BenCo folders or list",
    source="Ma et al., IMDL-BenCo, NeurIPS 2024; https://github.com/scu-zjz/IMDLBenCo",
    scan=scan,
)
