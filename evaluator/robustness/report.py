"""Robustness results as JSON values, as CSV, and as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.metrics.intervals import Estimate
from evaluator.perturbations import KINDS
from evaluator.robustness.judging import Judgement, parameter_of
from evaluator.robustness.options import CLEAN
from evaluator.scoring.coverage import fingerprint_faces
from focus.cells import write_rows
from focus.data.index import FaceIndex
from focus.errors import count_of
from focus.metric_names import describe_metric
from focus.types import FAKE, REAL

_METRICS = (
    "frame_auc",
    "video_auc",
    "map_iou",
    "map_overlap",
    "pixel_auc",
    "pixel_auc_region",
)
_ORIGIN = ("generator", "weights_sha256", "normalisation", "data", "root")
PARTS = ("value", "low", "high", "n")
_NAME, _CELL = 12, 8


def describe(
    judgement: Judgement,
    index: FaceIndex,
    origin: Mapping[str, Any],
    notes: Sequence[str],
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Return the results as JSON values.

    ``kinds`` contains the levels of each kind and their mean; ``average`` the mean over the seven
    kinds of DeeperForensics, or None if one of them is missing. ``origin`` describes the clean map
    file: generator, weights_sha256, normalisation, data, root. ``sets`` has the fingerprints of the
    faces behind the metrics of scores and of maps, as in ``evaluator score``.
    """
    kinds = {
        kind: {
            "parameter": KINDS[kind].meaning,
            "levels": [
                {
                    "level": condition.level,
                    "value": parameter_of(condition),
                    "metrics": _to_json(judgement.at[condition]),
                }
                for condition in judgement.at
                if condition.kind == kind
            ],
            "mean": _to_json(means),
        }
        for kind, means in judgement.means.items()
    }
    average = {"kinds": list(judgement.averaged), "metrics": _to_json(judgement.average)}
    counts = {"real": int((index.labels == REAL).sum()), "fake": int((index.labels == FAKE).sum())}
    return {
        "maps": {name: origin[name] for name in _ORIGIN},
        "splits": sorted(set(index.column("split")) - {""}),
        "faces": {"total": len(index), **counts},
        "sets": _find_sets(judgement, index),
        "clean": _to_json(judgement.at[CLEAN]),
        "kinds": kinds,
        "average": average if judgement.averaged else None,
        "intervals": {"level": 0.95, "over": "video", "draws": draws, "seed": seed},
        "unreadable": [{"key": face.key, "reason": face.reason} for face in judgement.failures],
        "notes": list(notes),
    }


def _find_sets(judgement: Judgement, index: FaceIndex) -> dict[str, str]:
    """Return the fingerprints of the faces behind the metrics of scores and of maps."""
    has_scores = judgement.at[CLEAN]["frame_auc"].value is not None
    unread = {failure.key for failure in judgement.failures}
    masked = index.column("mask")
    mapped = [
        row
        for row, (key, label) in enumerate(zip(index.keys, index.labels.tolist(), strict=True))
        if label == REAL or (label == FAKE and masked[row] and key not in unread)
    ]
    has_maps = "pixel_auc" in judgement.at[CLEAN]
    return {
        "scores": fingerprint_faces(index, np.arange(len(index))) if has_scores else "",
        "maps": fingerprint_faces(index, np.array(mapped)) if has_maps else "",
    }


def write_csv(result: Mapping[str, Any], path: Path) -> None:
    """Write a row per value: kind, level (or ``mean``), parameter, metric, value, low, high, n."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = (
            (*condition, metric, *(found[part] for part in PARTS))
            for *condition, metrics in _rows(result)
            for metric, found in metrics.items()
        )
        write_rows(file, ("kind", "level", "parameter", "metric", *PARTS), rows)


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    yield str(CLEAN), "0", "", result["clean"]
    for kind, found in result["kinds"].items():
        for level in found["levels"]:
            yield kind, str(level["level"]), f"{level['value']:g}", level["metrics"]
        yield kind, "mean", "", found["mean"]
    if result["average"]:
        yield "average", "mean", "", result["average"]["metrics"]


def format_tables(result: Mapping[str, Any]) -> str:
    """Return a table per metric that has values: a row per kind, a column per level."""
    faces, maps = result["faces"], result["maps"]
    split = f", split {' '.join(result['splits'])}" if result["splits"] else ""
    head = (
        f"{maps['generator']} on {maps['data']}{split}: {count_of(faces['total'], 'face')}"
        f" ({faces['real']:,} real, {faces['fake']:,} fake)"
    )
    lines = [head]
    for metric in known_metrics(result):
        lines += ["", *_table(result, metric)]
    averaged = result["average"]
    lines += [
        "",
        f"average: over {', '.join(averaged['kinds'])}, without clean."
        if averaged
        else "No average: it needs all seven kinds of DeeperForensics.",
    ]
    return "\n".join(lines)


def known_metrics(result: Mapping[str, Any]) -> list[str]:
    """Return the metrics whose mean has a value for any kind."""
    means = [found["mean"] for found in result["kinds"].values()]
    return [
        name
        for name in _METRICS
        if any(mean.get(name, {}).get("value") is not None for mean in means)
    ]


def _table(result: Mapping[str, Any], metric: str) -> Iterator[str]:
    levels = sorted({x["level"] for found in result["kinds"].values() for x in found["levels"]})
    yield f"{metric}: {describe_metric(metric).meaning}"
    names = "".join(f"{level:>{_CELL}}" for level in levels)
    yield f"{'level':{_NAME}}{names}{'mean':>{_CELL + 2}}   95 % interval"
    if metric in result["clean"]:
        blank = " " * _CELL * len(levels)
        yield f"{'clean':{_NAME}}{blank}{_cell(result['clean'][metric], True)}"
    for kind, found in result["kinds"].items():
        there = {level["level"]: level["metrics"][metric] for level in found["levels"]}
        cells = "".join(_cell(there.get(level)) for level in levels)
        yield f"{kind:{_NAME}}{cells}{_cell(found['mean'][metric], True)}"
    if result["average"]:
        blank = " " * _CELL * len(levels)
        yield f"{'average':{_NAME}}{blank}{_cell(result['average']['metrics'][metric], True)}"


def _cell(found: Mapping[str, Any] | None, whole: bool = False) -> str:
    """Return a value as text, with its interval if ``whole``."""
    width = _CELL + 2 * whole
    if found is None or found["value"] is None:
        return f"{'-':>{width}}"
    text = f"{found['value']:{width}.4f}"
    if not whole:
        return text
    if found["low"] is None:
        return f"{text}   {found.get('reason', '')}".rstrip()
    return f"{text}   {found['low']:.4f} to {found['high']:.4f}"


def _to_json(metrics: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    return {name: metrics[name].to_json() for name in _METRICS if name in metrics}
