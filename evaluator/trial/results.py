"""Results of a trial: aggregate seeds and write ``result.json`` and ``predictions.csv``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from evaluator.metrics import METRICS
from evaluator.trial.data import EvaluationSet
from focus.cells import write_rows
from focus.files import replace_file
from focus.mapstore import MapReader

RESULT, PREDICTIONS = "result.json", "predictions.csv"
FORMAT = {"format": "evaluator-result", "format_version": 1}
NORMAL = 1.96

Metrics = Mapping[str, Mapping[str, Any]]


def join_seeds(found: Sequence[Metrics]) -> dict[str, dict[str, Any]]:
    """Return each metric over seeds: mean, interval, and the spread of the seeds.

    ``low`` and ``high`` combine two uncertainties in quadrature: of the test faces (mean of the
    seeds' bounds) and of the training (standard error of the mean over seeds, times Student's
    quantile for the joint degrees of freedom, after Satterthwaite). Both are None, with a reason,
    if a seed has no interval. ``spread`` is the standard deviation over seeds, None for one seed;
    ``seeds`` has each value.
    """
    names = [name for name in METRICS if any(name in metrics for metrics in found)]
    return {
        name: join_values([metrics[name] for metrics in found if name in metrics]) for name in names
    }


def join_values(values: Sequence[Mapping[str, Any]], least: float = 0.0) -> dict[str, Any]:
    """Return one metric over seeds, see :func:`join_seeds`; values are in [``least``, 1]."""
    known = [value for value in values if value["value"] is not None]
    if len(known) < len(values) or not known:
        return {**values[0], "value": None, "low": None, "high": None, "spread": None, "seeds": []}
    numbers = np.array([value["value"] for value in known])
    mean = float(numbers.mean())
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    joined = {"value": mean, "low": None, "high": None, "n": known[0]["n"]}
    whole = [value for value in known if value["low"] is not None and value["high"] is not None]
    if len(whole) == len(known):
        error = (spread or 0.0) / math.sqrt(len(numbers))
        for end, sign in (("low", -1), ("high", 1)):
            reach = abs(float(np.mean([value[end] for value in known])) - mean)
            margin = error * _quantile(reach / NORMAL, error, len(numbers))
            joined[end] = min(max(mean + sign * math.hypot(reach, margin), least), 1.0)
    else:
        reasons = [value["reason"] for value in known if value.get("reason")]
        joined |= {"reason": reasons[0]} if reasons else {}
    return {**joined, "spread": spread, "seeds": numbers.tolist()}


def _quantile(certain: float, error: float, seeds: int) -> float:
    """Return Student's quantile for a known error plus one estimated from a few seeds."""
    if error == 0:
        return NORMAL
    freedom = (seeds - 1) * (1 + (certain / error) ** 2) ** 2
    return float(stdtrit(freedom, 0.975))


def join_groups(found: Sequence[Mapping[str, Mapping[str, Metrics]]]) -> dict[str, Any]:
    """Return column -> value -> metrics over seeds."""
    return {
        column: {
            value: join_seeds([seed[column][value] for seed in found if value in seed[column]])
            for value in groups
        }
        for column, groups in found[0].items()
    }


def join_sets(found: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the fingerprints of the faces over seeds, joined by ``+`` where seeds differ."""
    return {name: "+".join(sorted({sets[name] for sets in found})) for name in found[0]}


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write ``result.json``; equal runs write equal files.

    Raises:
        InputError: the folder cannot be written.
    """
    path = folder / RESULT
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def write_predictions(
    folder: Path, tests: Sequence[EvaluationSet], maps: Mapping[str, list[Path]]
) -> None:
    """Write ``predictions.csv``: a row per test face, with its score for every seed.

    Args:
        folder: folder of the trial.
        tests: the test sets.
        maps: test set -> the map file of every seed; scores of unreadable faces are empty.

    Raises:
        InputError: the folder cannot be written.
    """
    seeds = len(next(iter(maps.values())))
    names = ("test", "key", "label", "video", "method", *(f"score_{n}" for n in range(seeds)))
    with (
        replace_file(folder / PREDICTIONS) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = (row for test in tests for row in _predictions(test, maps[test.name]))
        write_rows(file, names, rows)


def _predictions(test: EvaluationSet, files: Sequence[Path]) -> Iterator[list[Any]]:
    """Yield the rows of a test set."""
    index = test.faces
    scores = []
    for path in files:
        with MapReader(path) as reader:
            known = dict(zip(reader.face_keys, reader.scores.tolist(), strict=True))
        scores.append([known.get(key, math.nan) for key in index.keys])
    columns = (index.keys, index.labels.tolist(), index.column("video"), index.column("method"))
    for row, facts in enumerate(zip(*columns, strict=True)):
        found = [seed[row] for seed in scores]
        yield [test.name, *facts, *("" if math.isnan(s) else f"{s:.6f}" for s in found)]
