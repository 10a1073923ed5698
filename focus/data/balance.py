"""Groups of training faces that a batch balances: by label, method, source, or pair."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.texts import Lookup
from focus.types import FAKE, LABEL_NAMES, REAL, Balance

PAIRED: tuple[Balance, ...] = ("source", "pair")


class Group(NamedTuple):
    """Rows with as many real as fake faces in a batch.

    real: int (N,).  fakes: the fakes, in parts that take turns.  forged: share of the fakes that
    are made on the fly from the real faces.
    """

    real: np.ndarray
    fakes: Sequence[np.ndarray]
    forged: float

    def count_forged(self, turns: int) -> int:
        """Return the number of fakes made on the fly among the first ``turns``, evenly spread."""
        return int(turns * self.forged)


def group_rows(index: FaceIndex, balance: Balance, forged: float) -> list[Group]:
    """Return the groups of a balanced training, which take turns.

    Args:
        index: the training faces; those of unknown label are left out.
        balance: not ``none``.
        forged: share of the fakes that are made on the fly; a group without fakes makes all.

    Raises:
        InputError: no group has real and fake faces.
    """
    rows = np.arange(len(index))
    is_real, is_fake = index.labels == REAL, index.labels == FAKE
    if balance in PAIRED:
        sources = name_sources(index)
        parts = [(rows[is_real & own], [rows[is_fake & own]]) for own in _members(sources)]
    else:
        fakes = [rows[is_fake]]
        if balance == "method":
            methods = np.array(index.column("method"))
            fakes = [rows[is_fake & own] for own in _members(methods, is_fake)]
        parts = [(rows[is_real], fakes)]
    groups = []
    for real, fakes in parts:
        there = [part for part in fakes if len(part)]
        if len(real) and (there or forged):
            groups.append(Group(real, there, forged if there else 1.0))
    if not groups:
        raise InputError(
            f"--balance {balance}: no source has both real and fake faces; add a column corpus to "
            "the index, or use --balance label"
        )
    return groups


def find_unbalanced(index: FaceIndex, balance: Balance, forged: float) -> list[str]:
    """Return the sources that ``balance`` leaves out, since they lack a class."""
    if balance not in PAIRED:
        return []
    sources, left = name_sources(index), []
    for own in _members(sources):
        labels = index.labels[own]
        if not (labels == REAL).any() or not ((labels == FAKE).any() or forged):
            left.append(str(sources[own][0]) or "(no folder)")
    return left


def name_sources(index: FaceIndex, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the source of the given rows (default: all), as text.

    It is the column ``corpus`` if there is one. Otherwise it is the first folder that differs
    between rows, where folders named after a class do not count, and a fake whose ``original`` is a
    real row has the source of that row. Where every folder holds one label only, as with a folder
    for each method, the folders say nothing about sources, and all rows are of one.
    """
    rows = np.arange(len(index)) if rows is None else rows
    given = index.column("corpus")
    if any(given):
        return np.array([given[row] for row in rows.tolist()])
    originals = find_originals(index, rows)
    nearest = np.where(originals >= 0, originals, rows)
    names = np.array(_first_folders([index.keys[row] for row in nearest.tolist()]))
    real, fake = (set(names[index.labels[rows] == label]) for label in (REAL, FAKE))
    return names if real & fake else np.full(len(rows), "")


def find_originals(index: FaceIndex, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the row of the original of the given rows (default: all), int (N,).

    It is -1 for a face that is not a fake, and for a fake whose original is not a real face of the
    index.
    """
    rows = np.arange(len(index)) if rows is None else rows
    lookup, paths = Lookup(index.keys), index.column("original")
    found = np.full(len(rows), -1)
    for at in np.flatnonzero(index.labels[rows] == FAKE).tolist():
        path = paths[int(rows[at])]
        original = lookup.find(path) if path else None
        if path and original is None:
            original = lookup.find(posixpath.normpath(path))
        if original is not None and index.labels[original] == REAL:
            found[at] = original
    return found


def _members(names: np.ndarray, among: np.ndarray | None = None) -> list[np.ndarray]:
    """Return a mask for each name, in alphabetical order."""
    return [names == name for name in np.unique(names if among is None else names[among])]


def _first_folders(paths: Sequence[str]) -> list[str]:
    folders = [posixpath.dirname(path).split("/") for path in paths]
    shared = 0
    shortest = min(map(len, folders), default=0)
    while shared < shortest and len({parts[shared] for parts in folders}) == 1:
        shared += 1
    names = [parts[shared] if len(parts) > shared else "" for parts in folders]
    return ["" if name.lower() in LABEL_NAMES else name for name in names]
