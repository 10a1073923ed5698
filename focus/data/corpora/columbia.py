"""Columbia uncompressed image splicing (``columbia``): regions from a second camera.

::

    4cam_auth/*.tif                              real
    4cam_splc/*.tif                              fake
    4cam_splc/edgemask/<stem>_edgemask.jpg       the two regions in colour: green is spliced in,
                                                 red is not; brighter along the edge

The folders may be one level down, inside that of the download. Label by folder. Test only.

The coloured images cannot be read as masks (no channel mean exceeds half of white): ``write_masks``
converts them to masks below ``masks/``, and a scan lists the masks that exist. Until then the
coloured image is listed in the column ``edgemask`` only.

Coloured masks are documented; folders, names, the meaning of the colours and the counts (183 and
180) are from general knowledge of the data set and unverified.
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
# Minimum of green - red, 8 bit: JPEG blurs the edge between the colours.
_MARGIN = 32


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of the two folders, or of the one that exists.

    Raises:
        InputError: neither folder, or an unsupported option.
    """
    return build_index(_list_faces(root), root, options)


def write_masks(root: Path, folder: Path) -> int:
    """Write a mask for every spliced image with a coloured image; return the number written.

    A pixel is spliced in where green exceeds red by more than 32, at any brightness.

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
        write_mask(folder, face.key, np.asarray(cv2.subtract(green, red)) > _MARGIN)
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
