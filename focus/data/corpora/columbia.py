"""Columbia uncompressed image splicing (``columbia``): regions from a second camera.

::

    4cam_auth/*.tif                              real
    4cam_splc/*.tif                              fake
    4cam_splc/edgemask/<stem>_edgemask.jpg       the two regions in colour: green is spliced in,
                                                 red is not; brighter along the border

The folders may lie one level down, in that of the download. Label by folder. Test only.

The coloured images cannot be read as masks (no channel mean is above half of white):
``write_masks`` makes masks of them, below ``masks/``, and a scan names those that are there. Until
then the coloured image stands in the column ``edgemask`` alone.

That masks are coloured is on record; folders, names, the meaning of the colours and the counts
(183 and 180) are from general knowledge of the set and unverified.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from focus.data.corpora.folders import find_folder
from focus.data.corpora.masks import find_mask, write_mask
from focus.data.corpora.reading import build_index, list_names
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES, read_image
from focus.data.index import Face, FaceIndex
from focus.errors import InputError, UnreadableError
from focus.types import FAKE, REAL

AUTHENTIC, SPLICED = "4cam_auth", "4cam_splc"
# Levels of 8 bits: JPEG blurs the border between the colours.
_LEAD = 32


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of the two folders, or of the one that is there.

    Raises:
        InputError: neither folder, or an option that the corpus does not have.
    """
    return build_index(_list_faces(root), root, options)


def write_masks(root: Path, folder: Path) -> int:
    """Write a mask for every spliced image that has a coloured one; return their number.

    A pixel is spliced in where its green is well above its red, whatever their brightness.

    Raises:
        InputError: as in ``scan``, or a coloured image that cannot be read.
    """
    coloured = [face for face in _list_faces(root) if face.extra.get("edgemask")]
    for face in coloured:
        path = root / face.extra["edgemask"]
        try:
            red, green, _ = cv2.split(read_image(path))
        except UnreadableError as error:
            raise InputError(f"{path}: {error}") from None
        write_mask(folder, face.key, np.asarray(cv2.subtract(green, red)) > _LEAD)
    return len(coloured)


def _list_faces(root: Path) -> Iterator[Face]:
    folders = {name: _find(root, name) for name in (AUTHENTIC, SPLICED)}
    if not any(folders.values()):
        raise InputError(f"{root}: not Columbia: no folder {AUTHENTIC} or {SPLICED}")
    if folder := folders[AUTHENTIC]:
        for name in list_names(root / folder, IMAGE_SUFFIXES):
            yield Face(f"{folder}/{name}", REAL, "test")
    if folder := folders[SPLICED]:
        edges = f"{folder}/edgemask"
        names = list_names(root / edges, IMAGE_SUFFIXES)
        coloured = {posixpath.splitext(name)[0]: f"{edges}/{name}" for name in names}
        for name in list_names(root / folder, IMAGE_SUFFIXES):
            path = f"{folder}/{name}"
            extra = {"edgemask": coloured.get(f"{posixpath.splitext(name)[0]}_edgemask", "")}
            mask = find_mask(root, path)
            yield Face(path, FAKE, "test", "splicing", mask=mask, extra=extra)


def _find(root: Path, name: str) -> str:
    below = [f"{folder}/{name}" for folder in list_names(root, folders=True)]
    return find_folder(root, name, *below)


CORPUS = Corpus(
    name="columbia",
    title="Columbia Uncompressed Image Splicing Detection Evaluation Dataset",
    source="Hsu, Chang: Detecting Image Splicing Using Geometry Invariants and Camera "
    "Characteristics Consistency, ICME 2006",
    scan=scan,
    published={"real": 183, "fake": 180},
    masks=write_masks,
)
