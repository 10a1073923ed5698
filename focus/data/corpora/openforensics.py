"""OpenForensics (``openforensics``: one row per face; ``ofv2``: one row per image).

::

    Images/{Train,Val,Test-Dev,Test-Challenge}/*.jpg
    {Train,Val,Test-Dev,Test-Challenge}_poly.json     COCO: category 0 = Real, 1 = Fake, for each
                                                      face a polygon and a box [x, y, w, h]

``file_name`` is relative to the root, like Images/Train/x.jpg; a bare name is looked up in
Images/<part>. Train is train, Val is val, Test-Dev is test. Test-Challenge is perturbed on purpose
and kept apart: its rows have no split, and column ``part`` identifies them. Labels are per face, by
the categories of the file; other names for categories 0 and 1 are an error. An image is fake if any
face in it is, and most fakes have real neighbours.

A row of ``openforensics`` is ``IMAGE#0.N``, face N in the order of the file, with the crop in
``box`` (a square, 1.3 times the larger side of the published box, as everywhere in FoCus);
``video`` is the image. A row of ``ofv2`` is an image of Train, Val or Test-Dev.

The polygons are drawn by ``write_face_masks`` and ``write_image_masks`` (the field ``masks`` of a
corpus), below ``masks/``, and a scan lists the masks that exist. A face's mask has the geometry of
its crop and includes all forged pixels in it, those of neighbours too; real faces have none.

OFV2 is MoNFAP's variant of OpenForensics: its images, each with a forged face, and genuine images
from Open Images, listed in ``Pixel_OpenForensics/{train,valid,test}.txt``. If these lists are in
the root of ``ofv2``, they and their masks are used instead (see ``lists``).

Published: 44,122 + 7,308 + 18,895 images in Train, Val and Test-Dev, 115,325 in all; 334,136
faces, 151,364 + 15,352 + 49,750 in the same three (these parts are from memory of the paper and
agree with its sums, but unverified). OFV2: 79,462 / 13,984 / 35,104 images, of which the 44,122 /
7,308 / 18,895 are the fakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from focus.data.corpora.lists import ImageList, find_lists, read_images
from focus.data.corpora.masks import find_mask, write_mask
from focus.data.corpora.reading import build_index, read_json
from focus.data.corpus import Corpus, ScanOptions
from focus.data.cropping import crop, measure_padding
from focus.data.face_detection import enlarge
from focus.data.index import Face, FaceIndex
from focus.data.masks import draw_polygons
from focus.errors import InputError
from focus.types import FAKE, REAL

T = TypeVar("T")
PARTS = {"Train": "train", "Val": "val", "Test-Dev": "test", "Test-Challenge": ""}
_CATEGORIES = {0: "real", 1: "fake"}
_MAX_SIDE = 4096


class Annotation(NamedTuple):
    """One face: its label, its crop and its outline, in pixels of the image."""

    label: int
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the crop."""
    polygons: tuple[np.ndarray, ...]
    """float (N, 2) each: x, y; a pixel is the unit square, as in COCO. Empty in a scan."""


class AnnotatedImage(NamedTuple):
    """One image and its faces."""

    path: str
    part: str
    height: int
    width: int
    faces: list[Annotation]


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List every face of the parts that exist.

    Raises:
        InputError: no ``<part>_poly.json``, an invalid one (gives the number of the image or face),
            or an unsupported option.
    """
    return build_index(_list_faces(root), root, options)


def scan_images(root: Path, options: ScanOptions) -> FaceIndex:
    """List every image of MoNFAP's lists, or else of Train, Val and Test-Dev.

    Raises:
        InputError: as in ``scan``, or an invalid line in a list.
    """
    if lists := _find_lists(root):
        return build_index(read_images(root, lists), root, options)
    return build_index(_list_images(root), root, options)


def write_face_masks(root: Path, folder: Path) -> int:
    """Write the mask of every fake face in the geometry of its crop; return the number written.

    Skip faces whose box is empty or too large: they have no crop, and the doctor reports them.

    Raises:
        InputError: as in ``scan``.
    """
    count = 0
    for image in _read_parts(root, outlined=True):
        forged, whole = _list_forged(image), (0, 0, image.width, image.height)
        for number, face in enumerate(image.faces):
            side = face.box[2] - face.box[0]
            if face.label == FAKE and 0 < side <= _MAX_SIDE:
                if measure_padding(face.box, (image.height, image.width)):
                    mask = crop(draw_polygons(forged, whole), face.box)
                else:
                    mask = draw_polygons(forged, face.box)
                write_mask(folder, f"{image.path}#0.{number}", mask)
                count += 1
    return count


def write_image_masks(root: Path, folder: Path) -> int:
    """Write the mask of every image with a fake face; return the number written (0 for MoNFAP).

    Raises:
        InputError: as in ``scan``.
    """
    count = 0
    if _find_lists(root):
        return count
    for image in _read_parts(root, outlined=True, challenge=False):
        if forged := _list_forged(image):
            box = (0, 0, image.width, image.height)
            write_mask(folder, image.path, draw_polygons(forged, box))
            count += 1
    return count


def _list_forged(image: AnnotatedImage) -> list[np.ndarray]:
    return [outline for face in image.faces if face.label == FAKE for outline in face.polygons]


def _list_faces(root: Path) -> Iterator[Face]:
    for image in _read_parts(root):
        for number, face in enumerate(image.faces):
            key, split = f"{image.path}#0.{number}", PARTS[image.part]
            mask = find_mask(root, key) if face.label == FAKE else ""
            extra = {"box": " ".join(map(str, face.box)), "part": image.part}
            yield Face(key, face.label, split, video=image.path, mask=mask, extra=extra)


def _list_images(root: Path) -> Iterator[Face]:
    for image in _read_parts(root, challenge=False):
        label = max((face.label for face in image.faces), default=REAL)
        mask = find_mask(root, image.path) if label == FAKE else ""
        yield Face(image.path, label, PARTS[image.part], mask=mask)


def _find_lists(root: Path) -> list[ImageList]:
    return find_lists(root, "") or find_lists(root, "Pixel_OpenForensics")


def _read_parts(
    root: Path, outlined: bool = False, challenge: bool = True
) -> Iterator[AnnotatedImage]:
    files = {part: root / f"{part}_poly.json" for part in PARTS}
    there = {part: path for part, path in files.items() if path.is_file()}
    if not there:
        names = ", ".join(path.name for path in files.values())
        raise InputError(f"{root}: not OpenForensics: none of {names}")
    for part, path in there.items():
        if challenge or part != "Test-Challenge":
            yield from _read_part(path, part, outlined)


def _read_part(path: Path, part: str, outlined: bool) -> Iterable[AnnotatedImage]:
    """Return the images of a COCO file, each with its faces in the file's order."""
    content = read_json(path)
    names = ("categories", "images", "annotations")
    if not isinstance(content, dict) or not all(isinstance(content.get(n), list) for n in names):
        raise InputError(f"{path}: not a COCO file: must have lists {', '.join(names)}")
    for number, entry in enumerate(content["categories"], 1):
        _read_entry(_check_category, entry, f"{path}: category {number}")
    images: dict[int, AnnotatedImage] = {}
    for number, entry in enumerate(content["images"], 1):
        key, image = _read_entry(partial(_read_image, part), entry, f"{path}: image {number}")
        images[key] = image
    for number, entry in enumerate(content["annotations"], 1):
        where = f"{path}: annotation {number}"
        key, face = _read_entry(partial(_read_face, outlined), entry, where)
        if key not in images:
            raise InputError(f"{where} refers to image {key}, which the file does not list")
        images[key].faces.append(face)
    return images.values()


def _read_entry(read: Callable[[Any], T], entry: Any, where: str) -> T:
    """Read an entry of a COCO file; errors give its place."""
    try:
        return read(entry)
    except KeyError as error:
        raise InputError(f"{where} has no {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where} cannot be read: {error}") from None


def _check_category(entry: Any) -> None:
    name = str(entry["name"])
    if _CATEGORIES.get(entry["id"]) != name.lower():
        raise ValueError(f"{entry['id']} is {name!r}; OpenForensics has 0 = Real and 1 = Fake")


def _read_image(part: str, entry: Any) -> tuple[int, AnnotatedImage]:
    name = str(entry["file_name"]).replace("\\", "/")
    path = name if "/" in name else f"Images/{part}/{name}"
    return int(entry["id"]), AnnotatedImage(
        path, part, int(entry["height"]), int(entry["width"]), []
    )


def _read_face(outlined: bool, entry: Any) -> tuple[int, Annotation]:
    label, outlines = entry["category_id"], entry["segmentation"] if outlined else []
    if label not in _CATEGORIES:
        raise ValueError(f"category {label}; OpenForensics has 0 = Real and 1 = Fake")
    left, top, width, height = map(float, entry["bbox"])
    if not isinstance(outlines, list):
        raise ValueError("its segmentation is not a list of polygons")
    polygons = tuple(np.array(outline, dtype=np.float64).reshape(-1, 2) for outline in outlines)
    box = enlarge((left, top, left + width, top + height))
    return int(entry["image_id"]), Annotation(label, box, polygons)


_SOURCE = (
    "Le et al., OpenForensics: Large-Scale Challenging Dataset For Multi-Face Forgery Detection "
    "And Segmentation In-The-Wild, ICCV 2021; https://zenodo.org/records/5528418"
)
CORPUS = Corpus(
    name="openforensics",
    title="OpenForensics",
    source=_SOURCE,
    scan=scan,
    unit="face",
    published={"train": 151364, "val": 15352, "test": 49750},
    masks=write_face_masks,
)
CORPUS_V2 = Corpus(
    name="ofv2",
    title="OFV2, of OpenForensics and Open Images",
    source=f"{_SOURCE}; MoNFAP (Miao et al.)",
    scan=scan_images,
    published={
        "": 128550,
        "train": 79462,
        "val": 13984,
        "test": 35104,
        "train fake": 44122,
        "val fake": 7308,
        "test fake": 18895,
    },
    masks=write_image_masks,
)
