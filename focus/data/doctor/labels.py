"""Checks of labels: polarity, classes, and the columns that go with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from focus.data.doctor.findings import Finding, Severity
from focus.data.index import SPLITS, FaceIndex
from focus.ranking import score_auc
from focus.types import FAKE, REAL

_WORDS = {
    REAL: {"real", "reals", "original", "originals", "authentic", "genuine", "pristine", "au"},
    FAKE: {"fake", "fakes", "forged", "manipulated", "synthesis", "synthetic", "deepfake"}
    | {"deepfakes", "faceswap", "tampered", "tp"},
}
_INVERTED = 0.1


def check_labels(index: FaceIndex) -> Iterator[Finding]:
    """Yield label faults: a single class, or names or columns that contradict the labels."""
    yield from _check_classes(index)
    yield from _check_columns(index)
    yield from _check_names(index)


def _check_classes(index: FaceIndex) -> Iterator[Finding]:
    known = index.labels[index.labels >= 0]
    if len(known) < len(index):
        unknown = np.flatnonzero(index.labels < 0).tolist()
        names = (index.keys[row] for row in unknown)
        yield Finding.of("note", "labels", "faces without a label", names, len(unknown))
    if not len(known):
        return
    if len(set(known)) == 1:
        name = "fake" if known[0] == FAKE else "real"
        message = f"labelled faces, all of them {name}: nothing to compare with"
        yield Finding.of("warning", "one class", message, (), len(known))
        return
    splits = np.array(index.column("split"))
    for split in SPLITS:
        labels = index.labels[splits == split]
        if len(labels) and len(set(labels[labels >= 0])) == 1:
            name = "fake" if FAKE in labels else "real"
            message = f"faces of split {split}, all of them {name}: nothing to compare with"
            yield Finding.of("serious", "one class", message, (), len(labels))


def _check_columns(index: FaceIndex) -> Iterator[Finding]:
    """Compare labels with the columns that only fakes have."""
    is_fake = index.labels == FAKE
    has_mask = np.array([bool(value) for value in index.column("mask")])
    has_method = np.array([bool(value) for value in index.column("method")])
    odd = np.flatnonzero((index.labels == REAL) & has_method).tolist()
    if len(odd):
        names = (f"{index.keys[row]} ({index.column('method')[row]})" for row in odd)
        message = "real faces with a forgery method: should the label be 1?"
        yield Finding.of("warning", "label polarity", message, names, len(odd))
    bare = np.flatnonzero(is_fake & ~has_mask & ~has_method).tolist()
    if len(bare):
        names = (index.keys[row] for row in bare)
        yield Finding.of("note", "labels", "fakes with neither method nor mask", names, len(bare))
    unmasked = np.flatnonzero(is_fake & ~has_mask).tolist()
    if 0 < len(unmasked) < is_fake.sum() / 2:
        names = (index.keys[row] for row in unmasked)
        message = "fakes without a mask, though most have one"
        yield Finding.of("warning", "masks missing", message, names, len(unmasked))


def _check_names(index: FaceIndex) -> Iterator[Finding]:
    """Compare labels with the words in file and folder names."""
    named = np.fromiter((_read_name(path) for path in index.keys), np.int8, len(index))
    has_both = (named >= 0) & (index.labels >= 0)
    against = np.flatnonzero(has_both & (named != index.labels)).tolist()
    if not len(against):
        return
    labels = index.labels[has_both]
    auc = score_auc(labels, named[has_both])
    share = f"names agree with labels at AUC {auc:.2f}" if auc == auc else "all of one label"
    message = f"faces whose path contradicts their label ({share})"
    severity: Severity = "warning"
    if auc <= _INVERTED:
        severity, message = "serious", f"{message}: the labels look inverted"
    names = (f"{index.keys[row]} (label {index.labels[row]})" for row in against)
    yield Finding.of(severity, "label polarity", message, names, len(against))


def _read_name(path: str) -> int:
    """Return the label that the words of a path indicate, -1 for none or both."""
    words = set(re.split(r"[^a-z]+", path.lower()))
    found = [label for label, known in _WORDS.items() if words & known]
    return found[0] if len(found) == 1 else -1


def count_rows(index: FaceIndex) -> dict[str, object]:
    """Return the numbers of rows: all, by label, by split and label, by method."""
    names = {REAL: "real", FAKE: "fake", -1: "unknown"}
    splits, methods = index.column("split"), index.column("method")
    return {
        "faces": len(index),
        "labels": _count_labels(index.labels, names),
        "splits": {
            split or "none": _count_labels(index.labels[_equal(splits, split)], names)
            for split in (*SPLITS, "")
            if split in splits
        },
        "methods": {name: methods.count(name) for name in sorted(set(methods)) if name},
    }


def _count_labels(labels: np.ndarray, names: dict[int, str]) -> dict[str, int]:
    return {name: int(np.sum(labels == label)) for label, name in names.items()}


def _equal(values: Sequence[str], wanted: str) -> np.ndarray:
    return np.fromiter((value == wanted for value in values), np.bool_, len(values))
