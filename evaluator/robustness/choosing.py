"""Selection of the faces to evaluate: the test split, or a sample balanced over methods."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from focus.data.index import FaceIndex
from focus.data.sources import Source
from focus.errors import InputError, count_of
from focus.types import FAKE, REAL


def choose_faces(index: FaceIndex, source: Source, sample: int) -> tuple[FaceIndex, list[str]]:
    """Return the labelled faces to evaluate, and notes on the selection.

    If the index has several splits and none was requested, split ``test`` is used.

    Raises:
        InputError: no such face exists.
    """
    notes, splits = [], sorted(set(index.column("split")) - {""})
    if len(splits) > 1 and not source.split:
        if "test" not in splits:
            names = ", ".join(splits)
            raise InputError(f"--split is missing: {source.data} has {names}, but no test")
        index = index.where(split="test")
        notes.append("evaluating split test")
    known = np.isin(index.labels, (REAL, FAKE))
    if not known.all():
        notes.append(f"left out {count_of(int((~known).sum()), 'face')} of unknown label")
        index = index.take(known)
    if not len(index):
        raise InputError(f"{source.data}: no face has a label, so there is nothing to evaluate")
    return (index.take(spread(index, sample)) if sample else index), notes


def spread(index: FaceIndex, count: int) -> np.ndarray:
    """Return at most ``count`` rows, as many real as fake, balanced over the methods.

    Within a method they are evenly spread over the index. A method with too few faces is taken
    whole, and the other methods of its label make up for it.
    """
    methods = np.array(index.column("method"), dtype=object)
    labels = [np.flatnonzero(index.labels == label) for label in (REAL, FAKE)]
    labels = [rows for rows in labels if len(rows)]
    half = min(count // len(labels), *(len(rows) for rows in labels))
    chosen = [
        rows[np.linspace(0, len(rows) - 1, share).round().astype(int)]
        for of_label in labels
        for rows, share in _allot(
            [of_label[methods[of_label] == name] for name in sorted(set(methods[of_label]))], half
        )
    ]
    return np.sort(np.concatenate(chosen))


def _allot(groups: list[np.ndarray], count: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield each group with an equal share of ``count``; small groups are taken whole."""
    for place, rows in enumerate(sorted(groups, key=len)):
        share = min(len(rows), count // (len(groups) - place))
        count -= share
        yield rows, share
