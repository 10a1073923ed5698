"""``evaluator score``: score maps against truth masks, and the scores in the same file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from evaluator.metrics.counting import EDGES, HALF
from evaluator.metrics.localization import choose_level
from evaluator.scoring.coverage import (
    count_classes,
    face_sets,
    find_stored,
    take_covered,
)
from evaluator.scoring.faces import EvaluatedFaces
from evaluator.scoring.measure import Measured, TruthReader, masked_fakes, mean_mask, measure
from evaluator.scoring.options import Missing, ScoreCommand, Threshold
from evaluator.scoring.regions import COLUMN, region_metrics
from evaluator.scoring.summary import format_summary
from focus.data.index import FaceIndex
from focus.data.sources import Source, reopen
from focus.errors import CheckFailedError, InputError, count_of
from focus.mapstore import MapReader
from focus.output import present
from focus.runtime import note
from focus.types import FAKE, REAL, UNKNOWN, Failure

LISTED = 10
ORIGIN = (
    "generator",
    "weights_sha256",
    "data",
    "root",
    "index_fingerprint",
    "real_maps",
    "normalisation",
)


def score_command(command: ScoreCommand) -> None:
    """Score a map file, print a table, and write JSON if requested.

    Raises:
        InputError: see :func:`score_maps`; the map file does not record its faces; the JSON file
            cannot be written.
        CheckFailedError: some masks could not be read; the result covers the others.
    """
    with MapReader(command.maps) as reader:
        given = Source(command.data, command.root)
        # All splits: the prior uses train, the threshold may use val.
        index = reopen(reader.attributes, given, command.maps, all_splits=True)
        result = score_maps(
            index,
            reader,
            split="" if command.split == "all" else command.split,
            threshold=command.threshold,
            missing=command.missing,
            by=command.by,
            draws=command.draws,
            seed=command.runtime.seed,
            device=command.runtime.accelerator().device,
            quiet=command.runtime.quiet,
        )
    for line in result["notes"]:
        note(f"note: {line}", command.runtime.quiet)
    present(result, format_summary(result), command.json)
    _check_failures(result["unreadable"])


def score_maps(
    index: FaceIndex,
    reader: MapReader,
    *,
    split: str = "test",
    threshold: Threshold = "0.5",
    missing: Missing = "leave-out",
    by: Sequence[str] = (),
    draws: int = 1000,
    seed: int = 0,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> dict[str, Any]:
    """Score the maps and scores of a file on the faces of an index.

    Args:
        index: the faces, with masks if available.
        reader: the map file.
        split: the faces to score; all if empty or if the index has no splits.
        threshold: where to mark pixels: above 0.5, chosen on split ``val``, or nowhere.
        missing: leave out faces without a prediction, or count them as wrong: a fake with score 0,
            a real face with score 1, a map that is the complement of the truth.
        by: columns to break down by, besides ``method``.
        draws: bootstrap draws over ``video``.
        seed: seed of the draws.
        device: device that counts pixels; the result does not depend on it.
        quiet: hide progress.

    Returns:
        JSON values: ``metrics`` and ``by`` (column -> value -> metrics), ``parts`` (if the index
        has part labels), ``threshold``, ``split``, ``faces``, ``coverage`` (with the missing faces
        of each class), ``sets`` (fingerprints of the faces behind the metrics of scores and of
        maps; results are comparable only if equal), ``maps`` (the file's origin), ``prior``,
        ``intervals``, ``unreadable`` and ``notes``.

    Raises:
        InputError: no such faces; fewer than half of them have a map; a threshold from ``val``
            without masks there or sharing videos with the scored faces; unknown column.
    """
    notes: list[str] = []
    if len(index) == 0:
        raise InputError(f"{index.root}: the index has no faces")
    if split and not any(index.column("split")):
        notes.append("the index has no splits: all faces are judged")
        split = ""
    asked = _rows_of(index, split)
    stored = find_stored(index, asked, reader, split)
    _check_labels(index, asked, stored, reader, notes)
    rows, scores, coverage = take_covered(index, asked, stored, reader, missing, notes)
    zeroed = reader.attributes["real_maps"] == "zero"
    faces = EvaluatedFaces(index.take(rows), scores, None, None, zeroed, draws, seed)
    columns = list(dict.fromkeys([*(["method"] if "method" in index.columns else []), *by]))
    groups = {name: faces.groups(name) for name in columns}
    chosen: dict[str, Any] = {"rule": "none", "value": None}
    prior: dict[str, Any] | None = None
    failures: list[Failure] = []
    if len(masked_fakes(index, rows)) == 0:
        notes.append("no fake here has a truth mask: detection metrics only")
    else:
        count = partial(measure, device=device, quiet=quiet)
        level, chosen = _mark_from(index, rows, reader, threshold, count, failures)
        parted = _number_groups(faces.index, columns)
        measured, prior = _measure(index, rows, reader, count, parted, quiet, failures)
        faces = dataclasses.replace(faces, measured=measured, level=level)
        _note_limits(faces, chosen["rule"], notes)
    labelled = COLUMN in index.columns and any(index.column(COLUMN))
    parts = region_metrics(index, rows, reader, draws, seed) if labelled else {}
    return {
        "metrics": faces.metrics(),
        **({"parts": {name: found.to_json() for name, found in parts.items()}} if parts else {}),
        "by": {
            name: {value: faces.metrics(members) for value, members in found.items()}
            for name, found in groups.items()
            if found
        },
        "threshold": chosen,
        "split": split or "all",
        "faces": _count(faces.index, notes),
        "coverage": coverage,
        "sets": face_sets(faces),
        "maps": {"file": str(reader.path), **{name: reader.attributes[name] for name in ORIGIN}},
        "prior": prior,
        "intervals": {"level": 0.95, "over": "video", "draws": draws, "seed": seed},
        "unreadable": [
            {"key": key, "reason": reason}
            for key, reason in {face.key: face.reason for face in failures}.items()
        ],
        "notes": notes,
    }


def _mark_from(
    index: FaceIndex,
    rows: np.ndarray,
    reader: MapReader,
    threshold: Threshold,
    count: Callable[..., Measured],
    failures: list[Failure],
) -> tuple[int | None, dict[str, Any]]:
    """Return the level from which pixels are marked, chosen on ``val`` alone."""
    if threshold == "none":
        return None, {"rule": "none", "value": None}
    if threshold == "0.5":
        return HALF, {"rule": "fixed", "value": 0.5}
    splits = np.array(index.column("split"), dtype=object)
    chosen = masked_fakes(index, np.flatnonzero(splits == "val"))
    chosen = chosen[[index.keys[row] in reader for row in chosen]]
    fix = "use --threshold 0.5"
    if len(chosen) == 0:
        raise InputError(f"--threshold val: no fake of split val has a mask and a map; {fix}")
    videos = index.column("video")
    others = rows[splits[rows] != "val"]
    shared = ({videos[row] for row in chosen} & {videos[row] for row in others}) - {""}
    if shared:
        raise InputError(
            f"--threshold val: {count_of(len(shared), 'video')} of split val are among "
            "the judged faces"
            f" (such as {min(shared)}), so it would be chosen on what it is judged by; {fix}"
        )
    measured = count(index, chosen, reader)
    failures += measured.failures
    try:
        level = choose_level(measured.maps)
    except ValueError as error:
        raise InputError(f"--threshold val: {error} in split val; {fix}") from None
    value = float(EDGES[level])
    return level, {"rule": "val", "value": value, "faces": len(measured.rows)}


def _measure(
    index: FaceIndex,
    rows: np.ndarray,
    reader: MapReader,
    count: Callable[..., Measured],
    groups: np.ndarray,
    quiet: bool,
    failures: list[Failure],
) -> tuple[Measured, dict[str, Any]]:
    """Compare maps with truth, pooled by groups, int (N,) of the rows.

    Returns:
        The comparison, with positions in ``rows``, and the prior's origin.
    """
    splits = np.array(index.column("split"), dtype=object)
    usual, where = masked_fakes(index, np.flatnonzero(splits == "train")), "train"
    if len(usual) == 0:
        usual, where = masked_fakes(index, rows), "judged"
    prior, failed = mean_mask(index, usual, quiet)
    truths = TruthReader(index)
    has_truth = np.array([truths.has(row) for row in rows], dtype=bool)
    measured = count(index, rows[has_truth], reader, prior, groups=groups[has_truth])
    failures += [*failed, *measured.failures]
    measured = dataclasses.replace(measured, rows=np.searchsorted(rows, measured.rows))
    return measured, {"masks_of": where, "faces": prior.count, "left_out": "own video"}


def _number_groups(index: FaceIndex, columns: Sequence[str]) -> np.ndarray:
    """Number the combinations of the values of some columns, int64 (N,)."""
    seen: dict[tuple[str, ...], int] = {}
    values = zip(*(index.column(name) for name in columns), strict=True)
    found = values if columns else [()] * len(index)
    return np.array([seen.setdefault(tuple(value), len(seen)) for value in found], dtype=np.int64)


def _rows_of(index: FaceIndex, split: str) -> np.ndarray:
    """Return the rows of a split, or all."""
    if not split:
        return np.arange(len(index))
    splits = np.array(index.column("split"), dtype=object)
    rows = np.flatnonzero(splits == split)
    if len(rows) == 0:
        there = ", ".join(sorted(set(splits.tolist()) - {""}))
        raise InputError(f"--split {split}: the index has no such faces (its splits: {there})")
    return rows


def _check_labels(
    index: FaceIndex, rows: np.ndarray, stored: np.ndarray, reader: MapReader, notes: list[str]
) -> None:
    has_map = stored >= 0
    there = reader.labels[stored[has_map]]
    differ = int(((there != index.labels[rows[has_map]]) & (there != UNKNOWN)).sum())
    if differ:
        labels = count_of(differ, "label")
        notes.append(f"map file and index differ in {labels}: the index's are used")


def _note_limits(faces: EvaluatedFaces, rule: str, notes: list[str]) -> None:
    """Add notes on excluded faces and optimistic values."""
    if rule == "val" and "val" in faces.index.column("split"):
        notes.append("the threshold was chosen on val, and faces of val are judged: optimistic")
    labels, masks = faces.index.labels, np.array(faces.index.column("mask"), dtype=object)
    if without := int(((labels == FAKE) & (masks == "")).sum()):
        fakes = count_of(without, "fake")
        notes.append(f"{fakes} without a mask: excluded from the pixel metrics")
    if faces.measured is not None:
        fakes = labels[faces.measured.rows] == FAKE
        if empty := int((fakes & ~faces.measured.maps.inside.any(axis=1)).sum()):
            notes.append(
                f"{count_of(empty, 'fake')} with an empty mask: no pixel_auc, pointing, energy"
            )
    if faces.zeroed and (labels == REAL).any():
        notes.append(
            "maps of real faces were zeroed by label, so no metric counts them: no fp_area_real, "
            "pixel_f1_macro and pixel_miou; --real-maps fake-class of focus generate keeps them"
        )


def _count(index: FaceIndex, notes: list[str]) -> dict[str, int]:
    counts = count_classes(index.labels)
    if counts["unknown"]:
        faces = count_of(counts["unknown"], "face")
        notes.append(f"{faces} of unknown label: excluded from all metrics")
    return {"total": len(index), **counts}


def _check_failures(unreadable: Sequence[Mapping[str, str]]) -> None:
    if not unreadable:
        return
    listed = [f"{face['key']} ({face['reason']})" for face in unreadable[:LISTED]]
    more = f" and {len(unreadable) - LISTED} more" if len(unreadable) > LISTED else ""
    raise CheckFailedError(
        f"the truth of {count_of(len(unreadable), 'face')} could not be read, the rest was judged:"
        f" {'; '.join(listed)}{more}"
    )
