"""Cautions before a training: faces that a balance leaves out, and labels that files give away."""

from __future__ import annotations

import numpy as np

from focus.data.balance import PAIRED, find_originals, find_unbalanced, name_sources
from focus.data.doctor.looking import FACE, FINE, FORMATS, FileEntry, look_at_all
from focus.data.doctor.shortcuts import SERIOUS, score_feature
from focus.data.index import FaceIndex
from focus.errors import count_of
from focus.training.options import FitConfig
from focus.types import FAKE, REAL

SAMPLE = 512
"""Faces of each class whose headers are read."""
_MOST_SOURCES = 15


def list_cautions(index: FaceIndex, fit: FitConfig) -> list[str]:
    """Return a line for each fault of the training faces that training would hide."""
    forged = fit.augmentation.forged_share
    lines = []
    if left := find_unbalanced(index, fit.balance, forged):
        listed = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        lines.append(
            f"--balance {fit.balance}: leaves out {count_of(len(left), 'source')} "
            f"without faces of both labels: {listed}"
        )
    if fit.balance == "pair" and (count := _count_alone(index)):
        lines.append(
            f"--balance pair: {count_of(count, 'fake')} without an original among the training "
            "faces, paired with any real face of the same source"
        )
    if forged < 1:
        found = measure_giveaways(index, with_sources=fit.balance not in PAIRED)
        if told := [f"{name} (AUC {auc:.2f})" for name, auc in found.items() if auc >= SERIOUS]:
            lines.append(
                f"the label can be told without the face, by {', '.join(told)}; "
                "see focus doctor, --balance pair and --augment photometric"
            )
    return lines


def measure_giveaways(index: FaceIndex, with_sources: bool = True) -> dict[str, float]:
    """Return how well source, image size and JPEG quality separate the labels, as AUC.

    Headers are read of at most ``SAMPLE`` evenly drawn faces of each class.
    """
    rng, chosen = np.random.default_rng(0), []
    for label in (REAL, FAKE):
        rows = np.flatnonzero(index.labels == label)
        chosen.append(np.sort(rng.permutation(rows)[:SAMPLE]))
    rows = np.concatenate(chosen)
    boxes = index.column("box")
    entries = [
        FileEntry(at, index.keys[row], boxes[row], FACE) for at, row in enumerate(rows.tolist())
    ]
    looks, _ = look_at_all(index.root, True, entries)
    is_fake, is_read = index.labels[rows] == FAKE, looks["status"] == FINE
    is_jpeg = is_read & (looks["format"] == FORMATS.index("JPEG"))
    is_sized = is_read & (looks["height"] > 0)
    features = {
        "width": (looks["width"], is_sized),
        "height": (looks["height"], is_sized),
        "JPEG quality": (looks["quantisation"], is_jpeg),
        "format": (looks["format"], is_read & (looks["format"] > 0)),
    }
    if with_sources:
        features["source"] = _number(name_sources(index, rows)), np.ones(len(rows), bool)
    return {
        name: score_feature(values[known].astype(np.float64), is_fake[known])
        for name, (values, known) in features.items()
    }


def _count_alone(index: FaceIndex) -> int:
    """Return the number of fakes without an original in the index."""
    return int(((find_originals(index) < 0) & (index.labels == FAKE)).sum())


def _number(names: np.ndarray) -> np.ndarray:
    """Return a number for each of the commonest names, and one for all others."""
    found, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    ranks = np.empty(len(found), np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(found))
    return np.minimum(ranks[codes], _MOST_SOURCES)
