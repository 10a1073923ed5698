"""Checks of splits: units that must not cross them, originals, and a missing val."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from focus.data.doctor.files import Files
from focus.data.doctor.findings import Finding, Severity
from focus.data.index import SPLITS, FaceIndex
from focus.data.splits import PERSON_COLUMNS
from focus.types import FAKE

# Units that must not cross splits. People may cross in a published split: only a warning.
_UNITS: tuple[tuple[Severity, str, tuple[str, ...]], ...] = (
    ("serious", "videos", ("video",)),
    *(
        ("warning", name, columns)
        for name, columns in zip(
            ("people", "ids", "sources and targets"), PERSON_COLUMNS, strict=True
        )
    ),
)


def number_splits(index: FaceIndex) -> np.ndarray:
    """Return the split of each row as int8: its position in ``SPLITS``, -1 for none."""
    places = {split: place for place, split in enumerate(SPLITS)}
    return np.array([places.get(split, -1) for split in index.column("split")], dtype=np.int8)


def check_splits(index: FaceIndex, files: Files) -> Iterator[Finding]:
    """Yield units that cross splits, originals that do not match their fakes, and a missing val."""
    splits = number_splits(index)
    if (splits < 0).all():
        message = "faces without a split: leaks between splits cannot be checked"
        yield Finding.of("note", "splits", message, (), len(index))
    elif 0 in splits and 1 not in splits:
        message = "faces of train, but none of val: a model must not be selected on test"
        yield Finding.of("warning", "splits", message, (), int((splits == 0).sum()))
    for severity, name, columns in _UNITS:
        yield from _check_crossing(index, splits, severity, name, columns)
    yield from _check_originals(index, splits, files)
    yield from _check_file_names(index)


def _check_crossing(
    index: FaceIndex, splits: np.ndarray, severity: Severity, name: str, columns: tuple[str, ...]
) -> Iterator[Finding]:
    seen: dict[str, int] = defaultdict(int)
    for column in columns:
        for value, split in zip(index.column(column), splits.tolist(), strict=True):
            if value and split >= 0:
                seen[value] |= 1 << split
    # More than one bit is set.
    crossing = {value: bits for value, bits in seen.items() if bits & (bits - 1)}
    if crossing:
        examples = (
            f"{value} ({', '.join(split for k, split in enumerate(SPLITS) if bits >> k & 1)})"
            for value, bits in crossing.items()
        )
        message = f"{name} that are in more than one split"
        yield Finding.of(severity, "crosses splits", message, examples, len(crossing))


def _check_originals(index: FaceIndex, splits: np.ndarray, files: Files) -> Iterator[Finding]:
    """Yield originals that are in another split than their fake, labelled fake, or not listed."""
    originals = files.links["original"]
    rows = np.flatnonzero((originals >= 0) & (originals < files.faces))
    rows = rows[index.labels[rows] == FAKE]
    of = originals[rows]
    faults: tuple[tuple[Severity, str, np.ndarray], ...] = (
        ("serious", "fakes whose original is in another split", splits[rows] != splits[of]),
        ("serious", "fakes whose original is labelled fake", index.labels[of] == FAKE),
    )
    for severity, message, wrong in faults:
        found = rows[wrong].tolist()
        if len(found):
            names = (f"{index.keys[row]} of {index.column('original')[row]}" for row in found)
            yield Finding.of(severity, "originals", message, names, len(found))
    unlisted = np.flatnonzero(originals >= files.faces).tolist()
    if len(unlisted):
        names = (index.column("original")[row] for row in unlisted)
        message = "fakes whose original is not a row of the index"
        yield Finding.of("note", "originals", message, names, len(unlisted))


def _check_file_names(index: FaceIndex) -> Iterator[Finding]:
    """Yield file names that occur in several folders."""
    first: dict[str, str] = {}
    repeated: dict[str, int] = {}
    for path in index.keys:
        name = path.rpartition("/")[2]
        folder = str(PurePosixPath(path).parent)
        if first.setdefault(name, folder) != folder:
            repeated[name] = repeated.get(name, 1) + 1
    if repeated:
        names = (f"{name} ({count} times)" for name, count in repeated.items())
        message = (
            "file names that occur in several folders: tools that match by name would confuse them"
        )
        yield Finding.of("note", "file names", message, names, len(repeated))
