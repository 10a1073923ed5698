"""Folders of images and of their masks: found in any case, paired by name and never by order."""

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
    """Return the first of some folders that is there, relative to ``root``; empty if none is.

    Case is ignored, because copies differ in it; the exact name goes first.
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


def pair_masks(root: Path, pictures: str, masks: str, ending: str = "_gt") -> dict[str, str]:
    """Return the mask of every image below one folder, taken from below another.

    A mask is named like its image, with another suffix, with ``ending`` before it, or, as in
    DEFACTO, like the image less its last suffix (``a.jpg`` for ``a.jpg.tif``). The folders
    between are compared only where the name alone is not unique. A mask without an image is
    named on standard error.

    Args:
        root: folder of the corpus.
        pictures: folder below it.
        masks: folder below it; empty if there is none.
        ending: what a mask's name may have more.

    Returns:
        Path of the image -> path of the mask (empty: none), relative to ``root``.

    Raises:
        InputError: two masks for one image, or masks of which none is named like an image.
    """
    found = list(walk(root / masks, IMAGE_SUFFIXES)) if masks else []
    by_name: dict[str, list[str]] = defaultdict(list)
    for mask in found:
        stem = posixpath.splitext(mask)[0]
        names = {mask, stem, stem.removesuffix(ending)}
        for name in names | {posixpath.basename(name) for name in names}:
            by_name[name].append(mask)
    pairs, used = {}, set()
    for picture in walk(root / pictures, IMAGE_SUFFIXES):
        stem = posixpath.splitext(picture)[0]
        same = by_name.get(stem) or by_name.get(posixpath.basename(stem)) or [""]
        if len(same) > 1:
            raise InputError(
                f"{root / pictures / picture}: {' and '.join(same[:2])} in {root / masks} are both "
                "named like its mask; remove one"
            )
        used.add(same[0])
        pairs[posixpath.join(pictures, picture)] = same[0] and posixpath.join(masks, same[0])
    left = [mask for mask in found if mask not in used]
    if pairs and found and len(left) == len(found):
        raise InputError(
            f"{root / masks}: no mask is named like an image in {pictures}: {found[0]} and "
            f"{posixpath.basename(next(iter(pairs)))}"
        )
    if left:
        note(f"{root / masks}: {_count(left)} without an image in {pictures}")
    return pairs


def _count(masks: Sequence[str]) -> str:
    """Return how many masks there are, and the names of the first few."""
    more = f" and {len(masks) - _NAMED} more" if len(masks) > _NAMED else ""
    return f"{count_of(len(masks), 'mask')} ({', '.join(masks[:_NAMED])}{more})"
