"""Coverage: which faces have a prediction, and how missing predictions count."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from evaluator.scoring.faces import EvaluatedFaces
from evaluator.scoring.measure import stored_rows
from evaluator.scoring.options import Missing
from focus.data.index import FaceIndex
from focus.errors import InputError, count_of
from focus.mapstore import MapReader
from focus.types import FAKE, REAL, UNKNOWN

LISTED, DIGITS = 10, 16


def find_stored(index: FaceIndex, rows: np.ndarray, reader: MapReader, split: str) -> np.ndarray:
    """Return the file's row of each face, int64 (N,), -1 without a map.

    Raises:
        InputError: fewer than half of the faces have a map.
    """
    stored = stored_rows(reader, [index.keys[row] for row in rows])
    has_map = stored >= 0
    if has_map.mean() < 0.5:
        missing = [index.keys[row] for row in rows[~has_map][:LISTED]]
        where = f"split {split}" if split else "the index"
        splits = zip(index.column("split"), index.keys, strict=True)
        known = ", ".join(sorted({name for name, key in splits if name and key in reader}))
        hint = (
            f"it has maps of split {known}"
            if known
            else "are --maps and --data from the same corpus?"
        )
        raise InputError(
            f"{reader.path}: has maps for {has_map.sum()} of "
            f"{count_of(len(rows), 'face')} of {where}"
            f" ({hint}); missing, among others: {', '.join(missing)}"
        )
    return stored


def take_covered(
    index: FaceIndex,
    asked: np.ndarray,
    stored: np.ndarray,
    reader: MapReader,
    missing: Missing,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return rows to judge, their scores, and coverage of the requested faces."""
    labels, has_map = index.labels[asked], stored >= 0
    scores = np.full(len(asked), np.nan)
    scores[has_map] = reader.scores[stored[has_map]]
    # A generator without scores writes none at all: then no score counts as missing.
    unscored = has_map & np.isnan(scores) if not np.isnan(scores).all() else np.zeros_like(has_map)
    coverage = {
        "faces": len(asked),
        "with_map": int(has_map.sum()),
        "share": float(has_map.mean()),
        "missing": count_classes(labels[~has_map]),
        "without_score": count_classes(labels[unscored]),
        "rule": missing,
    }
    for lacking, noun in ((~has_map, "prediction"), (unscored, "score")):
        if lacking.any():
            notes.append(_describe(labels, lacking, noun, missing))
    if missing == "wrong":
        if not np.isnan(scores).all():
            wrong = np.select([labels == FAKE, labels == REAL], [0.0, 1.0], np.nan)
            scores = np.where(np.isnan(scores), wrong, scores)
        return asked, scores, coverage
    return asked[has_map], scores[has_map], coverage


def _describe(labels: np.ndarray, lacking: np.ndarray, noun: str, missing: Missing) -> str:
    counts = count_classes(labels[lacking])
    kinds = f"{counts['fake']:,} fake, {counts['real']:,} real"
    verb = "has" if lacking.sum() == 1 else "have"
    text = f"{lacking.sum():,} of {count_of(len(labels), 'face')} {verb} no {noun} ({kinds}): "
    if missing == "wrong":
        return f"{text}they count as wrong"
    return (
        f"{text}they are left out, which favours a system that skips hard faces; --missing wrong "
        "counts them as wrong"
    )


def count_classes(labels: np.ndarray) -> dict[str, int]:
    """Return the number of real faces, fakes, and faces of unknown label."""
    names = {"real": REAL, "fake": FAKE, "unknown": UNKNOWN}
    return {name: int((labels == label).sum()) for name, label in names.items()}


def face_sets(faces: EvaluatedFaces) -> dict[str, str]:
    """Return fingerprints of the faces behind the metrics of scores and of maps."""
    scored = np.flatnonzero(~np.isnan(faces.scores))
    mapped = np.arange(0) if faces.measured is None else faces.measured.rows
    return {
        name: fingerprint_faces(faces.index, rows) if len(rows) else ""
        for name, rows in (("scores", scored), ("maps", mapped))
    }


def fingerprint_faces(index: FaceIndex, rows: np.ndarray) -> str:
    """Return a digest of keys and labels, independent of their order."""
    lines = sorted(f"{index.keys[row]}\t{index.labels[row]}\n" for row in rows.tolist())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:DIGITS]
