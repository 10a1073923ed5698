"""Training data and test sets of a trial, checked to be disjoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from focus.data.faces import Maps, TruthMaps
from focus.data.index import SPLITS, FaceIndex
from focus.data.overlap import FileTable, check_val, find_overlap, find_similar
from focus.data.sources import Source, open_source
from focus.data.splits import split_index
from focus.errors import InputError, count_of
from focus.mapstore import MapReader
from focus.types import FAKE

LISTED = 10
MAP_WORDS = ("none", "zeros", "truth")
"""Supervision that is not a map file."""


class EvaluationSet(NamedTuple):
    """A test set: labelled faces and their name in results."""

    name: str
    faces: FaceIndex
    selected: bool = False  # weights were selected on these faces; noted in the result


class TrainingData(NamedTuple):
    """Training and validation faces of a trial, and maps of the training faces."""

    train: FaceIndex
    val: FaceIndex
    maps: Maps | None
    notes: list[str]


class ZeroMaps:
    """A zero map for every face: a baseline without information in the maps."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> np.ndarray:
        """Return zeros, float32 (1, 1)."""
        return np.zeros((1, 1), dtype=np.float32)


def open_tests(words: Sequence[str], own: FaceIndex, hold_out: float = 0.0) -> list[EvaluationSet]:
    """Return test sets from NAME=SOURCE[:SPLIT]; default: the test split of the data.

    Data without a test split are evaluated on val. With ``hold_out``, selection uses a part of
    train; otherwise the set is marked as ``selected``.

    A source with splits yields its ``test`` rows unless another split is named; a source without
    splits yields all rows. Faces of unknown label are excluded.

    Raises:
        InputError: invalid format, a name used twice, or no labelled face.
    """
    if not words:
        there = set(own.column("split"))
        split = "val" if "val" in there and "test" not in there else "test"
        faces = labelled_faces(_take_split(own, split, "the data"), "the data")
        return [EvaluationSet(split, faces, selected=split == "val" and not hold_out)]
    tests: list[EvaluationSet] = []
    for word in words:
        name, sign, given = word.partition("=")
        if not (sign and name and given) or "/" in name:
            raise InputError(f"--test {word}: use NAME=SOURCE or NAME=SOURCE:SPLIT")
        if name in (test.name for test in tests):
            raise InputError(f"--test {name}: the name is used twice")
        place, _, split = given.rpartition(":")
        if split not in (*SPLITS, "all") or not place:
            place, split = given, ""
        index = open_source(Source(place))
        if split == "all" or (not split and not any(index.column("split"))):
            chosen = index
        else:
            chosen = _take_split(index, split or "test", f"--test {word}")
        tests.append(EvaluationSet(name, labelled_faces(chosen, f"--test {word}")))
    return tests


def open_training(
    index: FaceIndex,
    maps: str,
    hold_out: float,
    seed: int,
    hard: float = 0.0,
    self_blend: bool = False,
) -> TrainingData:
    """Return training and validation faces, and their maps.

    Args:
        index: the faces; rows of split ``test`` are ignored.
        maps: ``none``, ``zeros``, ``truth`` (the masks of the index), or a map file.
        hold_out: above 0, val is this share of the training videos, and the index's val split is
            unused (it can be a test set).
        seed: seed of the split.
        hard: threshold, if the detector binarises maps; used only to count maps that become empty.
        self_blend: fakes are made of the real faces, so that none are needed.

    Raises:
        InputError: a class is missing, or maps are missing for most fakes.
    """
    if hold_out and any(index.column("split")):
        index = index.where("train")
    train, val = split_index(index, hold_out, seed, self_blend)
    notes: list[str] = []
    source = _open_maps(maps, train)
    if source is not None:
        train = _covered(train, source, maps, notes)
        _count_empty(train, source, maps, hard, notes)
    return TrainingData(train, val, source, notes)


def check_apart(data: TrainingData, tests: Sequence[EvaluationSet]) -> None:
    """Fail if train, val and the test sets share faces or videos.

    See :mod:`focus.data.overlap`. Near duplicates of training faces add a note.

    Raises:
        InputError: they overlap; the message names the set, size, an example and the reason.
    """
    train, val = FileTable(data.train), FileTable(data.val)
    check_val(train, val)
    for test in tests:
        table = FileTable(test.faces)
        for part, verb in ((train, "trained"), (val, "selected")):
            if test.selected and part is val:
                continue
            if overlap := find_overlap(part, table):
                raise InputError(
                    f"--test {test.name}: {overlap.describe(verb)}; test faces must not be "
                    f"{verb} on. Choose another split, or use --hold-out 0.1 to split val off train"
                )
        if pairs := find_similar(data.train, test.faces):
            data.notes.append(
                f"test set {test.name}: {len(pairs):,} of its faces resemble training faces, "
                f"such as {pairs[0][0]} like {pairs[0][1]}: check for duplicates"
            )


def _open_maps(maps: str, train: FaceIndex) -> Maps | None:
    if maps == "none":
        return None
    if maps == "zeros":
        return ZeroMaps()
    if maps == "truth":
        return TruthMaps(train)
    if not Path(maps).is_file():
        raise InputError(f"--maps {maps}: no such file; give a map file, {', '.join(MAP_WORDS)}")
    return MapReader(maps)


def _covered(train: FaceIndex, maps: Maps, name: str, notes: list[str]) -> FaceIndex:
    """Return the training faces that have a map; fail if fewer than half of the fakes do."""
    fakes = train.labels == FAKE
    without = np.array([key not in maps for key in train.keys]) & fakes
    if not without.any():
        return train
    share = 1 - without.sum() / fakes.sum()
    if share < 0.5:
        missing = [train.keys[row] for row in np.flatnonzero(without)[:LISTED]]
        count = count_of(int(fakes.sum()), "fake")
        raise InputError(
            f"--maps {name}: has maps of {fakes.sum() - without.sum():,} of {count} to "
            f"train on; is this the right map file? Missing, among others: {', '.join(missing)}"
        )
    notes.append(
        f"no map in {name} for {without.sum():,} of {count_of(int(fakes.sum()), 'fake')} "
        f"({share:.1%} covered): excluded from training"
    )
    return train.take(~without)


def _count_empty(train: FaceIndex, maps: Maps, name: str, hard: float, notes: list[str]) -> None:
    """Add notes on fakes with empty maps, or maps below ``hard``; truth masks are not checked."""
    if not isinstance(maps, MapReader):
        return
    fakes = [key for key, label in zip(train.keys, train.labels, strict=True) if label == FAKE]
    if not fakes:
        return
    rows = np.sort([maps.row(key) for key in fakes])
    blocks = (rows[start : start + 4096] for start in range(0, len(rows), 4096))
    highest = np.concatenate([maps.read(block).max(axis=(1, 2)) for block in blocks])
    total = f"of {count_of(len(fakes), 'fake')}"
    if empty := int((highest == 0).sum()):
        notes.append(f"kept with an empty map in {name}: {empty:,} {total}")
    if faint := int((highest < hard).sum()) - empty:
        notes.append(
            f"without a value of {hard:g} or more in {name}: {faint:,} {total}; this detector "
            "binarises maps, so these become empty (see map_threshold and map_mode=soft)"
        )


def _take_split(index: FaceIndex, split: str, what: str) -> FaceIndex:
    found = index.where(split)
    if not len(found):
        there = ", ".join(sorted(set(index.column("split")) - {""})) or "none"
        raise InputError(
            f"{what}: has no {split} split (splits: {there}); give the test faces with "
            "--test NAME=SOURCE:SPLIT"
        )
    return found


def labelled_faces(index: FaceIndex, what: str) -> FaceIndex:
    """Return the faces with a label.

    Raises:
        InputError: no face has a label; ``what`` starts the message.
    """
    known = index.take(index.labels >= 0)
    if not len(known):
        raise InputError(f"{what}: no face has a label")
    return known
