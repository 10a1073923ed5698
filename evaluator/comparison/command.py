"""``evaluator compare``: run the trials of a grid one after another, and compare them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from evaluator.comparison.differences import measure_difference, read_predictions
from evaluator.comparison.grid import GridCell, list_cells, list_pairs
from evaluator.comparison.options import CompareCommand
from evaluator.comparison.report import (
    DIFFERENCES,
    TABLE,
    Difference,
    read_rows,
    write_page,
    write_tables,
)
from evaluator.tables import RESULT, choose_columns, describe_sets, mark_sets, to_markdown
from evaluator.trial.command import is_finished, open_trial, run_trial
from evaluator.trial.data import EvaluationSet
from focus.arguments import unparse
from focus.errors import CheckFailedError, InputError, count_of
from focus.folders import hold
from focus.runtime import note


def compare_command(command: CompareCommand) -> None:
    """Run ``evaluator compare``.

    Finished trials are skipped and an interrupted one resumes. A trial that fails does not stop the
    others.

    Raises:
        InputError: an invalid name or setting, or no trial could be run.
        CheckFailedError: some trials failed, or some faces could not be read; the tables cover the
            finished trials.
    """
    cells = list_cells(command)
    runtime = command.trial.runtime
    is_main = runtime.accelerator().is_main_process
    with hold(command.out) if is_main else nullcontext():
        tests, finished, faults = _run_cells(cells, runtime.quiet)
        if is_main:
            _compare(command.out, finished, tests)
    if faults:
        raise CheckFailedError(f"{count_of(len(faults), 'trial')} with faults: {'; '.join(faults)}")


def _run_cells(
    cells: Sequence[GridCell], quiet: bool
) -> tuple[list[EvaluationSet], list[GridCell], list[str]]:
    """Run unfinished trials; return the test sets, the finished trials, and the faults.

    Raises:
        InputError: every trial failed: the error of the first.
    """
    tests, finished = list[EvaluationSet](), list[GridCell]()
    failed, faults = list[InputError](), list[str]()
    for number, cell in enumerate(cells, 1):
        head = f"trial {number} of {len(cells)}: {cell.name}"
        try:
            trial = open_trial(cell.command)
            tests = tests or trial.tests
            if is_finished(trial):
                note(f"{head}: finished", quiet)
            else:
                note(f"{head}: evaluator run {shlex.join(unparse(cell.command))}", quiet)
                run_trial(trial)
        except InputError as error:
            failed.append(error)
            faults.append(f"{cell.name}: {error}")
            note(f"{head}: {error}", quiet)
            continue
        except CheckFailedError as error:
            faults.append(f"{cell.name}: {error}")
        finished.append(cell)
    if not finished:
        raise failed[0]
    return tests, finished, faults


def _compare(folder: Path, cells: Sequence[GridCell], tests: Sequence[EvaluationSet]) -> None:
    """Write and print the tables of finished trials, and write the page."""
    runtime, draws = cells[0].command.runtime, cells[0].command.draws
    differences = []
    for test in tests:
        predictions = {}
        for cell in cells:
            result = json.loads((cell.folder / RESULT).read_text(encoding="utf-8"))
            files = [cell.folder / f"seed-{seed}" / f"{test.name}.h5" for seed in result["seeds"]]
            predictions[cell.name] = read_predictions(
                test.faces, files, result["judged_maps"], runtime
            )
        differences += [
            Difference(
                test.name,
                first.name,
                second.name,
                measure_difference(
                    test.faces,
                    predictions[first.name],
                    predictions[second.name],
                    draws,
                    runtime.seed,
                ),
            )
            for first, second in list_pairs(cells)
        ]
    rows = read_rows(cells)
    write_tables(folder, rows, differences)
    page = write_page(folder, cells, rows, differences)
    for name, found in rows.items():
        print(f"{name}\n{to_markdown(mark_sets(found), choose_columns(found))}")
        for line in describe_sets(found):
            note(f"note: {line}", runtime.quiet)
    note(f"{folder}: {TABLE}, {DIFFERENCES}; page: {page}", runtime.quiet)
