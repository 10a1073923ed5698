"""COCO annotations: images with the outlines of their forged areas.

A row is an image. It is fake if one of its annotations has a category for forged areas. Its mask is
the union of these: the member ``ID.png`` of the JSON file, drawn when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from focus.data.index import Face
from focus.data.masks import decode_rle, draw_polygons
from focus.errors import InputError, UnreadableError, count_of
from focus.types import FAKE, REAL

FORGED = ("fake", "forged", "manipulated", "tampered")
GENUINE = ("real", "authentic", "genuine", "original")
"""Names of categories, in any case."""
_MOST_PIXELS = 2**28


class AnnotatedImage(NamedTuple):
    """An image and the outlines of its forged areas."""

    path: str
    height: int
    width: int
    forged: list[Any]
    """Segmentations as in the file: lists of polygons, or run lengths."""


class CocoMasks:
    """The masks of a COCO file, drawn on demand and read as members of an archive: ``17.png``."""

    def __init__(self, path: str) -> None:
        try:
            self._images = read_annotations(Path(path))
        except InputError as error:
            raise UnreadableError(str(error)) from None

    def names(self) -> list[str]:
        """Return the members, in the order of the file."""
        return [_name_mask(key) for key, image in self._images.items() if image.forged]

    def size(self, name: str) -> int:
        """Return the size of a member in bytes."""
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        """Return a mask as PNG.

        Raises:
            UnreadableError: no such image, or a segmentation that cannot be drawn.
        """
        image = self._images.get(name.removesuffix(".png"))
        if image is None or not image.forged:
            raise UnreadableError("the file has no forged area of this image")
        try:
            mask = _draw(image)
        except (ValueError, TypeError, KeyError, AttributeError, cv2.error) as error:
            raise UnreadableError(f"its segmentation cannot be drawn: {error}") from None
        return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()


def list_coco(path: Path, root: Path) -> list[Face]:
    """Return a row per image of a COCO file.

    Args:
        path: the JSON file.
        root: folder of the images.

    Raises:
        InputError: not a COCO file, unknown categories, or images that are not below ``root``.
    """
    images = read_annotations(path)
    missing = [image.path for image in images.values() if not (root / image.path).is_file()]
    if len(missing) == len(images):
        example = f", such as {missing[0]}" if missing else ""
        raise InputError(
            f"{path}: none of its {count_of(len(images), 'image')} is in {root}{example}; "
            "give their --root"
        )
    file = Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    return [
        Face(image.path, FAKE, mask=f"{file}!/{_name_mask(key)}")
        if image.forged
        else Face(image.path, REAL)
        for key, image in images.items()
    ]


def read_annotations(path: Path) -> dict[str, AnnotatedImage]:
    """Return image id -> image, in the order of the file.

    Raises:
        InputError: the file cannot be read, is not a COCO file, or has unknown categories.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_forged = {str(each["id"]): _is_forged(each) for each in content["categories"]}
        images = {str(each["id"]): _read_image(each) for each in content["images"]}
        for each in content["annotations"]:
            image = images[str(each["image_id"])]
            if is_forged[str(each["category_id"])]:
                image.forged.append(each["segmentation"])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: not a COCO file: {error} is missing") from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a COCO file ({error})") from None
    return images


def _is_forged(category: Mapping[str, Any]) -> bool:
    name = str(category["name"]).lower()
    if name not in (*FORGED, *GENUINE):
        known = f"{', '.join(FORGED)} (forged) or {', '.join(GENUINE)}"
        raise InputError(f"category {category['name']!r}: the names must be {known}")
    return name in FORGED


def _read_image(entry: Mapping[str, Any]) -> AnnotatedImage:
    height, width = int(entry["height"]), int(entry["width"])
    if not 0 < height * width <= _MOST_PIXELS:
        raise ValueError(f"image {entry['id']} of {width} x {height} pixels")
    return AnnotatedImage(str(entry["file_name"]).replace("\\", "/"), height, width, [])


def _draw(image: AnnotatedImage) -> np.ndarray:
    """Return the union of the forged areas, bool (H, W)."""
    mask = np.zeros((image.height, image.width), dtype=bool)
    box = (0, 0, image.width, image.height)
    for area in image.forged:
        if isinstance(area, Mapping):
            height, width = area["size"]
            if (height, width) != mask.shape:
                raise ValueError(f"run lengths of {width} x {height} pixels")
            mask |= decode_rle(area["counts"], height, width)
        else:
            outlines = [np.array(each, dtype=np.float64).reshape(-1, 2) for each in area]
            mask |= draw_polygons(outlines, box)
    return mask


def _name_mask(key: str) -> str:
    return f"{key}.png"
