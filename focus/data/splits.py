"""Splits of an index: assign them, and choose training and validation faces."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from focus.data.images import split_path
from focus.data.index import SPLITS, FaceIndex
from focus.errors import InputError, count_of
from focus.texts import Texts
from focus.types import FAKE, LABEL_NAMES, REAL, UNKNOWN

SplitBy = Literal["video", "person", "folder"]
PERSON_COLUMNS = (("person",), ("id",), ("target", "source", "source_id"))
"""Columns that name persons (or videos of persons); those of a group share their names."""


def split_index(
    index: FaceIndex, hold_out: float, seed: int, self_blend: bool = False
) -> tuple[FaceIndex, FaceIndex]:
    """Return training and validation faces with known labels; ``test`` is not used.

    Args:
        index: all faces.
        hold_out: without a val split, share of the videos (or files) to validate on.
        seed: random seed of that choice.
        self_blend: fakes are made of the real faces, so that none are needed.

    Raises:
        InputError: no train or val faces, or a split with a single class.
    """
    known = index.take(index.labels != UNKNOWN)
    if not len(known):
        raise InputError("no face has a label; training needs label 0 (real) and 1 (fake)")
    if any(known.column("split")):
        train, val = known.where("train"), known.where("val")
        if not len(train):
            raise InputError("the index has no 'train' rows; training needs splits train and val")
        if not len(val) and hold_out:
            train, val = hold_out_videos(train, hold_out, seed)
    elif hold_out:
        train, val = hold_out_videos(known, hold_out, seed)
    else:
        raise InputError(
            "the index has no split column; add one (train, val, test), or use --hold-out 0.2 to "
            "take a share of the videos as val"
        )
    if not len(val):
        raise InputError(
            "the index has no 'val' rows, and models are never selected on test; add val rows, or "
            "use --hold-out 0.2 to take a share of the training videos"
        )
    for name, part in (("train", train), ("val", val)):
        for label, word in ((REAL, "real"), (FAKE, "fake")):
            if not (part.labels == label).any() and not (self_blend and label == FAKE):
                raise InputError(f"the {name} split has no {word} face; both classes are needed")
    return train, val


def hold_out_videos(index: FaceIndex, share: float, seed: int) -> tuple[FaceIndex, FaceIndex]:
    """Split by a hash of the video (or path), so that added rows do not change the choice."""
    units = [video or path for video, path in zip(index.column("video"), index.keys, strict=True)]
    digests = (hashlib.sha256(f"{seed}:{unit}".encode()).digest() for unit in units)
    held = np.array([int.from_bytes(digest[:8], "big") / 2**64 < share for digest in digests])
    return index.take(~held), index.take(held)


def assign_splits(
    index: FaceIndex, shares: Sequence[float], by: SplitBy = "video", seed: int = 0
) -> tuple[FaceIndex, list[str]]:
    """Return the index with a new column ``split``, and lines on the result.

    Units stay whole: the faces of a video (of a file, if its video is not known), a fake with its
    original, and with ``by`` also those of a person or folder. Every split with a share gets at
    least one. Larger units are assigned first, in random order, to the split that lacks most of
    their faces, for real and fake faces alike.

    Args:
        index: all faces; an existing column ``split`` is replaced.
        shares: shares of train, val and test.
        by: ``person`` needs one of ``PERSON_COLUMNS``; ``folder`` is the folder of the file
            without parts such as ``real`` and ``fake``.
        seed: seed of the order.

    Returns:
        The index, and a line each with the realised shares and with every class that a split lacks.

    Raises:
        InputError: fewer units than splits, or no column of persons.
    """
    units = _number_units(index, by)
    labels = (UNKNOWN, REAL, FAKE)
    count = int(units.max()) + 1
    sizes = np.stack(
        [np.bincount(units[index.labels == one], minlength=count) for one in labels], 1
    )
    wanted = [place for place, share in enumerate(shares) if share > 0]
    if count < len(wanted):
        raise InputError(
            f"--split: {count_of(len(wanted), 'split')} of {count_of(count, 'unit')} by {by}: the "
            "faces of a video, and a fake and its original, stay together; use another --split-by, "
            "or a share of 0"
        )
    places = _assign_units(sizes, shares, wanted, seed)
    splits = Texts.of(SPLITS[place] for place in places[units].tolist())
    found = FaceIndex({**index.columns, "split": splits}, index.labels, index.root)
    held = sizes.sum(axis=1)
    realised = [
        f"{SPLITS[place]} {held[places == place].sum() / len(index):.1%} "
        f"({count_of(int((places == place).sum()), 'unit')})"
        for place in wanted
    ]
    lines = [f"split by {by}, seed {seed}: {', '.join(realised)}"]
    for place in wanted:
        _, *known = sizes[places == place].sum(axis=0).tolist()
        missing = [word for faces, word in zip(known, ("real", "fake"), strict=True) if not faces]
        lines += [f"the {SPLITS[place]} split has no {word} face" for word in missing if any(known)]
    return found, lines


def _assign_units(
    sizes: np.ndarray, shares: Sequence[float], wanted: Sequence[int], seed: int
) -> np.ndarray:
    """Return the split of each unit, int (U,), from its faces of each label, int (U, L)."""
    weights = sizes / np.maximum(sizes.sum(axis=0), 1)
    lacking = np.outer(shares, sizes.sum(axis=0) > 0).astype(float)
    order = np.random.default_rng(seed).permutation(len(sizes))
    scale = np.log2(sizes.sum(axis=1)).astype(int)
    order = order[np.argsort(-scale[order], kind="stable")]
    places, empty = np.zeros(len(sizes), dtype=int), list(wanted)
    for left, unit in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        among = empty if left <= len(empty) else list(wanted)
        place = among[int(np.argmax(lacking[among] @ weights[unit]))]
        places[unit] = place
        lacking[place] -= weights[unit]
        if place in empty:
            empty.remove(place)
    return places


def _number_units(index: FaceIndex, by: SplitBy) -> np.ndarray:
    """Return the unit of each row, int (N,): rows that share a token, directly or by others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[tuple[str, str], int] = {}
    rows, tokens = list[int](), list[int]()
    for kind, values, change in _list_tokens(index, by):
        for row, value in enumerate(values):
            if token := change(value):
                rows.append(row)
                tokens.append(numbers.setdefault((kind, token), len(numbers)))
    count = len(index) + len(numbers)
    ones = np.ones(len(rows), dtype=np.int8)
    links = coo_array((ones, (rows, np.array(tokens) + len(index))), shape=(count, count))
    units = connected_components(links, directed=False)[1][: len(index)]
    return np.unique(units, return_inverse=True)[1]


def _list_tokens(
    index: FaceIndex, by: SplitBy
) -> Iterator[tuple[str, Sequence[str], Callable[[str], str]]]:
    """Yield kind, column and function from a value to a token; equal ones belong together."""
    yield "file", index.keys, _name_file
    yield "file", index.column("original"), _name_file
    yield "video", index.column("video"), str
    if by == "folder":
        yield "folder", index.keys, _name_folder
    if by == "person":
        groups = [[name for name in group if any(index.column(name))] for group in PERSON_COLUMNS]
        if not any(groups):
            names = ", ".join(name for group in PERSON_COLUMNS for name in group)
            raise InputError(
                f"--split-by person: the index has no column of persons ({names}); add a column "
                "person, or split by video"
            )
        for group in groups:
            yield from ((group[0], index.column(name), str) for name in group)


def _name_file(path: str) -> str:
    where = split_path(path)
    return posixpath.normpath("!/".join(filter(None, where[:2]))) if path else ""


def _name_folder(path: str) -> str:
    """Return the folder of a path without class folders; all files of a top folder share it."""
    parts = _name_file(path).split("/")[:-1]
    return "/".join(part for part in parts if part.lower() not in LABEL_NAMES) or "."
