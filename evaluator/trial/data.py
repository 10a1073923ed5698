"""What a trial learns from and what it is judged by, kept apart by construction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from focus.data.faces import Maps, TruthMaps
from focus.data.index import SPLITS, FaceIndex
from focus.data.overlap import FileTable, Overlap, find_overlap, find_similar
from focus.data.sources import Source, open_source
from focus.data.splits import split_index
from focus.errors import InputError
from focus.mapstore import MapReader
from focus.types import FAKE

LISTED = 10


class EvaluationSet(NamedTuple):
    """Labelled faces that a trial is judged by, under the name that results call them."""

    name: str
    faces: FaceIndex
    selected: bool = False  # the weights were chosen on these very faces, and the result says so


class TrainingData(NamedTuple):
    """What a trial learns from and selects on, and the maps that go with it."""

    train: FaceIndex
    val: FaceIndex
    maps: Maps | None
    notes: list[str]


class ZeroMaps:
    """A zero map for every face: what a detector learns of maps that say nothing."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> np.ndarray:
        """Return zeros, float32 (1, 1)."""
        return np.zeros((1, 1), dtype=np.float32)


def open_tests(words: Sequence[str], own: FaceIndex, hold_out: float = 0.0) -> list[EvaluationSet]:
    """Return the test sets: NAME=SOURCE or NAME=SOURCE:SPLIT each, else the data's own test split.

    Data without a test split are judged on their val split: honest where the selection is held out
    of train (``hold_out``), and otherwise marked as the faces that were selected on.

    A source with splits gives its ``test`` rows unless another split is named; one without gives
    all. Faces of unknown label do not enter.

    Raises:
        InputError: a word that is not of this form, a name used twice, or no labelled face.
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
            raise InputError(f"--test {word}: write NAME=SOURCE or NAME=SOURCE:SPLIT")
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
    index: FaceIndex, maps: str, hold_out: float, seed: int, hard: float = 0.0
) -> TrainingData:
    """Return training and validation faces, and their maps.

    Args:
        index: the faces; rows of split ``test`` are not looked at.
        maps: ``none``, ``zeros``, ``truth`` (the masks of the index), or a map file.
        hold_out: above 0, val is this share of the videos of train, and the index's own val is
            left alone (so that it can be a test set).
        seed: of the choice.
        hard: where the detector makes binary masks of maps, the value that they begin at; it is
            only said how many fakes are left without a mark by it.

    Raises:
        InputError: no faces of both classes, or maps that are not of these faces.
    """
    if hold_out and any(index.column("split")):
        index = index.where("train")
    train, val = split_index(index, hold_out, seed)
    notes: list[str] = []
    source = _open_maps(maps, train)
    if source is not None:
        train = _covered(train, source, maps, notes)
        _count_empty(train, source, maps, hard, notes)
    return TrainingData(train, val, source, notes)


def check_apart(data: TrainingData, tests: Sequence[EvaluationSet]) -> None:
    """Refuse a test set, or a val split, that shares faces or videos with what is learned from.

    See :mod:`focus.data.overlap`. Look-alikes of training faces become a note.

    Raises:
        InputError: naming the set, how much it shares, an example, and why it counts as shared.
    """
    train, val = FileTable(data.train), FileTable(data.val)
    if overlap := find_overlap(train, val):
        raise InputError(
            f"split val: {_describe(overlap, 'trained')}; weights are selected on val, which must "
            "share nothing with train. Fix the split column, or remove it and use --hold-out 0.1"
        )
    for test in tests:
        table = FileTable(test.faces)
        for part, verb in ((train, "trained"), (val, "selected")):
            if test.selected and part is val:
                continue
            if overlap := find_overlap(part, table):
                raise InputError(
                    f"--test {test.name}: {_describe(overlap, verb)}; nothing is ever {verb} on a "
                    "test set. Name another split, or set val aside from train by --hold-out 0.1"
                )
        if pairs := find_similar(data.train, test.faces):
            data.notes.append(
                f"test set {test.name}: {len(pairs):,} of its faces resemble training faces, "
                f"such as {pairs[0][0]} like {pairs[0][1]}: is one a copy of the other?"
            )


def _describe(overlap: Overlap, verb: str) -> str:
    count, first = len(overlap.names), overlap.names[0]
    are = "are" if count > 1 else "is"
    return f"{count:,} of its {overlap.unit} {are} {verb} on, such as {first} ({overlap.reason})"


def _open_maps(maps: str, train: FaceIndex) -> Maps | None:
    if maps == "none":
        return None
    if maps == "zeros":
        return ZeroMaps()
    if maps == "truth":
        return TruthMaps(train)
    if not Path(maps).is_file():
        raise InputError(f"--maps {maps}: no such file; give a map file, none, zeros or truth")
    return MapReader(maps)


def _covered(train: FaceIndex, maps: Maps, name: str, notes: list[str]) -> FaceIndex:
    """Return the training faces that have a map; refuse when fewer than half of the fakes do."""
    fakes = train.labels == FAKE
    without = np.array([key not in maps for key in train.keys]) & fakes
    if not without.any():
        return train
    share = 1 - without.sum() / fakes.sum()
    if share < 0.5:
        missing = [train.keys[row] for row in np.flatnonzero(without)[:LISTED]]
        raise InputError(
            f"--maps {name}: has maps of {fakes.sum() - without.sum()} of {fakes.sum()} fakes to "
            f"train on; is it of other faces? Missing, among others: {', '.join(missing)}"
        )
    notes.append(
        f"{without.sum():,} of {fakes.sum():,} fakes have no map in {name} ({share:.1%} covered): "
        "they are left out of the training"
    )
    return train.take(~without)


def _count_empty(train: FaceIndex, maps: Maps, name: str, hard: float, notes: list[str]) -> None:
    """Say how many fakes have a map without a single marked level; truth is read later."""
    if not isinstance(maps, MapReader):
        return
    fakes = [key for key, label in zip(train.keys, train.labels, strict=True) if label == FAKE]
    rows = np.sort([maps.row(key) for key in fakes])
    blocks = (rows[start : start + 4096] for start in range(0, len(rows), 4096))
    highest = np.concatenate([maps.read(block).max(axis=(1, 2)) for block in blocks])
    total = f"of {len(fakes):,} fakes"
    if empty := int((highest == 0).sum()):
        notes.append(f"{empty:,} {total} have an empty map in {name}: kept so")
    if faint := int((highest < hard).sum()) - empty:
        notes.append(
            f"{faint:,} {total} have no value of {hard:g} or more in {name}: this detector makes "
            "binary masks of maps, and these are empty (see map_threshold and map_mode=soft)"
        )


def _take_split(index: FaceIndex, split: str, what: str) -> FaceIndex:
    found = index.where(split)
    if not len(found):
        there = ", ".join(sorted(set(index.column("split")) - {""})) or "none"
        raise InputError(
            f"{what}: has no {split} split (its splits: {there}); name the test faces by "
            "--test NAME=SOURCE:SPLIT"
        )
    return found


def labelled_faces(index: FaceIndex, what: str) -> FaceIndex:
    """Return the faces with a label.

    Raises:
        InputError: no face has one; ``what`` begins the message.
    """
    known = index.take(index.labels >= 0)
    if not len(known):
        raise InputError(f"{what}: no face has a label")
    return known
