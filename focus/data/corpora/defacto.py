"""DEFACTO (``defacto``): forgeries generated from MS-COCO, and faces swapped between actors.

::

    copymove_img/img/*.tif          copymove_annotations/{probe_mask,donor_mask}/*.jpg       ~19k
    splicing_<1..7>_img/img/*.tif   splicing_<k>_annotations/{probe_mask,donor_mask,graph}   ~105k
    inpainting_img/img/*.tif        inpainting_annotations/{probe_mask,inpaint_mask,graph}   ~25k
    face_swap_img/img/<a>.jpg_IN_<b>.jpg.tif
                                    face_swap_annotations/probe_mask/<a>.jpg_IN_<b>.jpg      ~38k
    real/*.jpg                      the portraits that were swapped, if available            200

All images in ``..._img`` folders are fake; the portraits are the only authentic images. The mask is
``probe_mask``, the changed region; ``donor_mask``, the origin of the content, is not read. Masks
are JPEGs whose names differ from their image's: in the face-swap part they lack ``.tif``. ``img``
may be omitted, and ``<kind>_img`` may be one level down in a folder of any name.

Unverified: folder names of the face-swap part (face_swap, face_swapping, faceswap, swap and
swapping are accepted) and the source of its portraits (not published: put them in ``real``). The
name, ``a IN b``, gives the roles: ``source`` is a, ``target`` is b, and b is the ``video``, shared
with the portrait of that name. There is no official split; the swaps and the portraits are rows of
``test``, as MSCCNet uses them, the others have no split. Published counts are rounded, so only that
of the portraits can be checked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from focus.data.corpora.folders import find_folder, pair_masks
from focus.data.corpora.reading import build_index, list_names, walk
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

SWAP = "face_swap"
_KIND = re.compile(r"(copymove|inpainting|splicing)(?:_[1-7])?|(?:face_?)?swap(?:ping)?")
_SWAPPED = re.compile(r"(.+)_IN_(.+)\.[a-z]+", re.IGNORECASE)


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the images of every folder ``<kind>_img``, and the portraits in ``real``.

    Raises:
        InputError: no such folder, one of an unknown kind, a name in the face-swap part that is not
            ``<a>_IN_<b>``, two masks for one image, or an unsupported option.
    """
    folders = [(name, kind) for name in _list_folders(root) if (kind := _name_kind(root, name))]
    if not folders:
        raise InputError(
            f"{root}: not DEFACTO: no folder such as copymove_img, splicing_1_img, inpainting_img "
            f"or {SWAP}_img"
        )
    return build_index(_list_faces(root, folders), root, options)


def _list_folders(root: Path) -> list[str]:
    folders = list_names(root, folders=True)
    below = [f"{name}/{other}" for name in folders for other in list_names(root / name, (), True)]
    return [*folders, *below]


def _name_kind(root: Path, folder: str) -> str:
    """Return the method of a folder ``<kind>_img``, empty for another folder."""
    name = posixpath.basename(folder)
    if not name.endswith("_img"):
        return ""
    found = _KIND.fullmatch(name.removesuffix("_img").lower())
    if not found:
        kinds = f"copymove_img, inpainting_img, splicing_1_img to splicing_7_img, {SWAP}_img"
        raise InputError(f"{root / folder}: not a DEFACTO folder (known: {kinds})")
    return found[1] or SWAP


def _list_faces(root: Path, folders: list[tuple[str, str]]) -> Iterator[Face]:
    for folder, method in folders:
        annotations = folder.removesuffix("_img") + "_annotations"
        masks = find_folder(root, f"{annotations}/probe_mask")
        images = find_folder(root, f"{folder}/img") or folder
        for path, mask in pair_masks(root, images, masks).items():
            if method == SWAP:
                yield _describe_swap(root, path, mask)
            else:
                yield Face(path, FAKE, method=method, mask=mask)
    if portraits := find_folder(root, "real"):
        for name in walk(root / portraits, IMAGE_SUFFIXES):
            yield Face(f"{portraits}/{name}", REAL, "test", video=_stem(name))


def _describe_swap(root: Path, path: str, mask: str) -> Face:
    parts = _SWAPPED.fullmatch(posixpath.basename(path))
    if not parts:
        raise InputError(
            f"{root / path}: names in the face-swap part must be <a>.jpg_IN_<b>.jpg.tif"
        )
    source, target = _stem(parts[1]), _stem(parts[2])
    extra = {"source": source, "target": target}
    return Face(path, FAKE, "test", SWAP, video=target, mask=mask, extra=extra)


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


CORPUS = Corpus(
    name="defacto",
    title="DEFACTO",
    source="Mahfoudi et al., DEFACTO: Image and Face Manipulation Dataset, EUSIPCO 2019; "
    "https://defactodataset.github.io",
    scan=scan,
    published={"real": 200},
)
