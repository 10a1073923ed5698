"""Score the predictions of a trial on its test sets, and write the result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.metrics import DETECTION
from evaluator.scoring.command import score_maps
from evaluator.scoring.options import Missing
from evaluator.tables import Row, is_known, to_markdown
from evaluator.trial.data import EvaluationSet
from evaluator.trial.results import (
    FORMAT,
    join_groups,
    join_seeds,
    join_sets,
    write_predictions,
    write_result,
)
from focus.data.index import FaceIndex
from focus.errors import CheckFailedError, count_of
from focus.mapstore import MapReader
from focus.runtime import DeviceFlags, note

SHOWN = ("frame_auc", "frame_acc", "video_auc", "pixel_auc", "pixel_auc_region", "iou_fake")
KEPT = ("split", "faces", "threshold", "prior", "intervals")


class Trial(NamedTuple):
    """Predictions of a trial and their origin."""

    files: dict[str, list[Path]]
    """Test set -> the map file of every seed."""
    facts: dict[str, Any]
    """Entries of ``result.json`` that describe the training or the predictions."""
    judged_maps: bool
    """Whether maps were trained or given; if not, only scores are evaluated."""
    missing: Missing = "leave-out"
    """Treatment of faces without a prediction."""
    failed: Sequence[str] = ()
    """Faces that could not be read."""


def judge_trial(
    trial: Trial, tests: Sequence[EvaluationSet], folder: Path, draws: int, runtime: DeviceFlags
) -> None:
    """Score the predictions, write the files of the result, and print its table.

    Args:
        trial: the predictions.
        tests: the test sets, the first of which gives the result's own metrics.
        folder: output folder for ``predictions.csv``, ``report.html`` and ``result.json``.
        draws: bootstrap draws for the intervals.
        runtime: first seed, device that counts pixels, quiet.

    Raises:
        InputError: the folder cannot be written, or a map file is damaged.
        CheckFailedError: some faces could not be read; the result covers the others.
    """
    result = _judge(trial, tests, draws, runtime)
    write_predictions(folder, tests, trial.files)
    from evaluator.trial.report import write_report  # imports matplotlib

    page = write_report(folder, result, tests, trial.files)
    write_result(folder, result)  # last: result.json marks a complete folder
    print(_summary(result))
    note(f"{folder}: result.json, predictions.csv; report: {page}", runtime.quiet)
    if trial.failed:
        raise CheckFailedError(
            f"{count_of(len(trial.failed), 'face')} could not be read and were left out, such as "
            f"{trial.failed[0]}"
        )


def _judge(
    trial: Trial, tests: Sequence[EvaluationSet], draws: int, runtime: DeviceFlags
) -> dict[str, Any]:
    """Return the result of all test sets, aggregated over seeds."""
    judged = {}
    for test in tests:
        found = [_score(trial, test.faces, path, draws, runtime) for path in trial.files[test.name]]
        if not trial.judged_maps:
            for seed in found:
                _drop_maps(seed)
        judged[test.name] = {
            "metrics": join_seeds([seed["metrics"] for seed in found]),
            "by": join_groups([seed["by"] for seed in found]),
            "seeds": [seed["metrics"] for seed in found],
            "sets": join_sets([seed["sets"] for seed in found]),
            "coverage": min((seed["coverage"] for seed in found), key=lambda one: one["with_map"]),
            "notes": list(dict.fromkeys(note for seed in found for note in seed["notes"])),
            **{name: found[0][name] for name in KEPT},
            **trial.facts.get("tests", {}).get(test.name, {}),
        }
    first = tests[0].name
    seeds = list(range(runtime.seed, runtime.seed + len(trial.files[first])))
    metrics = judged[first]["metrics"]
    return {
        **FORMAT,
        **trial.facts,
        "judged_maps": trial.judged_maps,
        "seeds": seeds,
        "metrics": metrics,
        "tests": judged,
    }


def _drop_maps(found: dict[str, Any]) -> None:
    """Remove pixel metrics: no maps were trained or given."""
    found["notes"].append("no maps were trained or given: no pixel metrics")
    groups = [groups for column in found["by"].values() for groups in column.values()]
    for metrics in (found["metrics"], *groups):
        for name in set(metrics) - set(DETECTION):
            del metrics[name]


def _score(
    trial: Trial, index: FaceIndex, path: Path, draws: int, runtime: DeviceFlags
) -> dict[str, Any]:
    with MapReader(path) as reader:
        extra = ["compression"] if "compression" in index.columns else []
        return score_maps(
            index,
            reader,
            split="",
            missing=trial.missing,
            by=extra,
            draws=draws,
            device=runtime.accelerator().device,
            quiet=runtime.quiet,
        )


def _summary(result: dict[str, Any]) -> str:
    """Return the summary table: a row per test set."""
    tests = result["tests"]
    rows = [Row(name, test["metrics"], test["sets"]) for name, test in tests.items()]
    shown = [name for name in SHOWN if any(is_known(row, name) for row in rows)]
    return to_markdown(rows, shown)
