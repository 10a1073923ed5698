"""COVERAGE (``cover``): an object copied within an image that contains a similar one.

::

    image/<n>.tif           real, n = 1 to 100
    image/<n>t.tif          fake, made from it
    mask/<n>forged.tif      the forged region; <n>copy (source) and <n>paste (copy) are not read
    label/*.mat             not read

Label by the ``t`` at the end of the name. Test only. A pair shares its ``video``, and the real
image is the ``original`` of the fake. 9 masks differ in size from their image: resizing such a mask
hides the fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from focus.data.corpora.folders import find_folder
from focus.data.corpora.reading import build_index, list_names
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

_NAME = re.compile(r"([0-9]+)(t?)\.[a-z]+", re.IGNORECASE)


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of the folder ``image``.

    Raises:
        InputError: no such folder, an image with another name, or an unsupported option.
    """
    images = find_folder(root, "image")
    if not images:
        raise InputError(f"{root}: not COVERAGE: no folder image")
    return build_index(_list_faces(root, images, find_folder(root, "mask")), root, options)


def _list_faces(root: Path, images: str, masks: str) -> Iterator[Face]:
    names = list_names(root / images, IMAGE_SUFFIXES)
    found = list_names(root / masks, IMAGE_SUFFIXES) if masks else []
    forged = {name.rsplit(".", 1)[0].casefold(): f"{masks}/{name}" for name in found}
    originals = {name.rsplit(".", 1)[0]: f"{images}/{name}" for name in names}
    for name in names:
        parts = _NAME.fullmatch(name)
        if not parts:
            raise InputError(f"{root / images / name}: COVERAGE has <n>.tif and <n>t.tif only")
        number, path = parts[1], f"{images}/{name}"
        if parts[2]:
            mask, original = forged.get(f"{number}forged", ""), originals.get(number, "")
            yield Face(path, FAKE, "test", "copymove", number, mask, original)
        else:
            yield Face(path, REAL, "test", video=number)


CORPUS = Corpus(
    name="cover",
    title="COVERAGE",
    source="Wen et al., COVERAGE: A Novel Database for Copy-move Forgery Detection, ICIP 2016; "
    "https://github.com/wenbihan/coverage",
    scan=scan,
    published={"": 200, "real": 100, "fake": 100},
)
