"""CASIA v1 (``casia1``) and v2 (``casia2``): spliced and copied regions in general photographs.

::

    casia1   Au/Au_*.jpg                                  800, authentic
             Tp/{CM,Sp}/*.jpg                             921, tampered: copy-move and splicing
             CASIA 1.0 groundtruth/{CM,Sp}/<stem>_gt.png  masks
    casia2   Au/*                                         7491, authentic
             Tp/*                                         5123, tampered: tif, jpg, bmp
             CASIA 2 Groundtruth/<stem>_gt.png            masks

``Gt`` is accepted in place of the long names of the mask folders, each folder may be inside that of
the download (``CASIA 1.0 dataset``; ``CASIA2``, ``CASIA2.0_revised``: unverified), and folders in
between do not matter. ``Modified Tp``, if it exists, is used instead of ``Tp``: file names of the
first release are wrong, and the masks match the corrected ones.

Label by folder: Au real, Tp fake. Method by folder (CM, Sp) or else by file name: ``_D_`` is a
splice of different images, ``_S_`` a copy within the same one (documented for version
2, unverified for version 1). There is no official split; by convention version 1 is for testing and
version 2 for training, and the rows are marked so.

The masks are by a third party (namtpham) and are paired by name: one image of version 1 has no mask
(see ``known_faults``), so pairing by order would shift all later masks. 17 masks of version 2
differ in size from their image or are rotated: resizing such a mask hides the fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from focus.data.corpora.folders import find_folder, pair_masks
from focus.data.corpora.reading import build_index, walk
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

_FOLDERS = {"cm": "copymove", "sp": "splicing"}
_LETTERS = {"S": "copymove", "D": "splicing"}
_NAME = re.compile(r"(?:Tp|Sp|CM)_([SD])_.+", re.IGNORECASE)


@dataclass(frozen=True)
class _Layout:
    """Candidate folders for the parts of a version; the first that exists is used."""

    split: str
    authentic: tuple[str, ...]
    tampered: tuple[str, ...]
    masks: tuple[str, ...]


_V1 = _Layout(
    "test",
    ("Au", "CASIA 1.0 dataset/Au"),
    ("Modified Tp", "CASIA 1.0 dataset/Modified Tp", "Tp", "CASIA 1.0 dataset/Tp"),
    ("CASIA 1.0 groundtruth", "Gt"),
)
_V2 = _Layout(
    "train",
    ("Au", "CASIA2/Au", "CASIA2.0_revised/Au"),
    ("Tp", "CASIA2/Tp", "CASIA2.0_revised/Tp"),
    (
        "CASIA 2 Groundtruth",
        "CASIA2/CASIA 2 Groundtruth",
        "CASIA2.0_Groundtruth",
        "Gt",
    ),
)


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of version 1.

    Raises:
        InputError: neither Au nor Tp, a tampered image of unknown method, two masks for one image,
            or an unsupported option.
    """
    return build_index(_list_faces(root, _V1), root, options)


def scan_v2(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of version 2; raises the same errors as ``scan``."""
    return build_index(_list_faces(root, _V2), root, options)


def _list_faces(root: Path, layout: _Layout) -> Iterator[Face]:
    authentic = find_folder(root, *layout.authentic)
    tampered = find_folder(root, *layout.tampered)
    if not authentic and not tampered:
        raise InputError(f"{root}: not CASIA: no folder Au (authentic) or Tp (tampered)")
    if authentic:
        for name in walk(root / authentic, IMAGE_SUFFIXES):
            yield Face(f"{authentic}/{name}", REAL, layout.split)
    if tampered:
        pairs = pair_masks(root, tampered, find_folder(root, *layout.masks))
        for path, mask in pairs.items():
            method = _name_method(root, path.removeprefix(f"{tampered}/"))
            yield Face(path, FAKE, layout.split, method, mask=mask)


def _name_method(root: Path, name: str) -> str:
    *folders, file = name.split("/")
    for folder in folders:
        if folder.casefold() in _FOLDERS:
            return _FOLDERS[folder.casefold()]
    if found := _NAME.fullmatch(file):
        return _LETTERS[found[1].upper()]
    raise InputError(
        f"{root}: tampered image {name} is not in a folder CM or Sp, and its name does not "
        "start with Tp_D_, Tp_S_, Sp_D_ or Sp_S_"
    )


_SOURCE = "Dong, Wang, Tan: CASIA Image Tampering Detection Evaluation Database, ChinaSIP 2013"
_MASKS = "masks: https://github.com/namtpham"
CORPUS = Corpus(
    name="casia1",
    title="CASIA v1.0",
    source=f"{_SOURCE}; {_MASKS}/casia1groundtruth",
    scan=scan,
    published={"": 1721, "real": 800, "fake": 921},
    known_faults={
        "Sp_D_NRN_A_cha0011_sec0011_0542.jpg": "has no mask in the published ground truth"
    },
)
CORPUS_V2 = Corpus(
    name="casia2",
    title="CASIA v2.0",
    source=f"{_SOURCE}; {_MASKS}/casia2groundtruth",
    scan=scan_v2,
    published={"": 12614, "real": 7491, "fake": 5123},
)
