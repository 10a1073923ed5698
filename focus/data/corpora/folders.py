"""Find folders in any case, and pair images with masks by name, never by order."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from focus.data.corpora.reading import list_names, walk
from focus.data.images import IMAGE_SUFFIXES
from focus.errors import InputError, count_of
from focus.runtime import note

_NAMED = 5


def find_folder(root: Path, *names: str) -> str:
    """Return the first folder that exists, relative to ``root``; empty if none does.

    Case is ignored, since copies differ in it; an exact match is preferred.
    """
    for name in names:
        found = ""
        for part in name.split("/"):
            there = list_names(root / found, folders=True)
            same = [other for other in there if other.casefold() == part.casefold()]
            if not same:
                break
            found = posixpath.join(found, part if part in same else same[0])
        else:
            return found
    return ""


def pair_masks(root: Path, images: str, masks: str, ending: str = "_gt") -> dict[str, str]:
    """Return the mask of every image below a folder, by name.

    A mask is named like its image, with another suffix, with ``ending`` before the suffix, or, as
    in DEFACTO, like the image without its last suffix (``a.jpg`` for ``a.jpg.tif``). The folders
    in between are compared only if the name alone is not unique. Masks without an image are
    reported on standard error.

    Args:
        root: folder of the corpus.
        images: folder of the images below ``root``.
        masks: folder of the masks below ``root``; empty if missing.
        ending: optional ending of a mask's stem.

    Returns:
        Path of the image -> path of the mask (empty: none), relative to ``root``.

    Raises:
        InputError: two masks for one image, or no mask named like an image.
    """
    found = list(walk(root / masks, IMAGE_SUFFIXES)) if masks else []
    by_name: dict[str, list[str]] = defaultdict(list)
    for mask in found:
        stem = posixpath.splitext(mask)[0]
        names = {mask, stem, stem.removesuffix(ending)}
        for name in names | {posixpath.basename(name) for name in names}:
            by_name[name].append(mask)
    pairs, used = {}, set()
    for image in walk(root / images, IMAGE_SUFFIXES):
        stem = posixpath.splitext(image)[0]
        same = by_name.get(stem) or by_name.get(posixpath.basename(stem)) or [""]
        if len(same) > 1:
            raise InputError(
                f"{root / images / image}: {' and '.join(same[:2])} in {root / masks} are both "
                "named like its mask; remove one"
            )
        used.add(same[0])
        pairs[posixpath.join(images, image)] = same[0] and posixpath.join(masks, same[0])
    left = [mask for mask in found if mask not in used]
    if pairs and found and len(left) == len(found):
        raise InputError(
            f"{root / masks}: no mask is named like an image in {images}: {found[0]} and "
            f"{posixpath.basename(next(iter(pairs)))}"
        )
    if left:
        note(f"{root / masks}: {_count(left)} without an image in {images}")
    return pairs


def _count(masks: Sequence[str]) -> str:
    """Return the number of masks and the names of the first few."""
    more = f" and {len(masks) - _NAMED} more" if len(masks) > _NAMED else ""
    return f"{count_of(len(masks), 'mask')} ({', '.join(masks[:_NAMED])}{more})"
