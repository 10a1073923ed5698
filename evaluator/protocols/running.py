"""``evaluator protocol NAME``: run all steps of a table in sequence, and compare."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path

from evaluator.protocols.comparing import (
    compare,
    format_comparison,
    read_results,
    write_comparison,
)
from evaluator.protocols.options import ProtocolCommand
from evaluator.protocols.planning import JOURNAL, plan, read_journal, sign
from evaluator.protocols.plans import Plan, Step
from evaluator.protocols.printing import format_plan
from evaluator.protocols.tables import get_protocol
from focus.data.sources import ROOT_VARIABLE
from focus.errors import CheckFailedError, InputError
from focus.files import replace_file
from focus.runs import RunFolder
from focus.runtime import Runtime, note


def protocol_command(command: ProtocolCommand) -> None:
    """Run ``evaluator protocol``; see :func:`run_protocol`."""
    runtime = command.runtime
    run_protocol(
        command.name,
        command.root,
        command.out,
        command.dry_run,
        runtime.quiet,
        runtime,
        command.predictions,
    )


def run_protocol(
    name: str,
    root: str | Path | None,
    out: str | Path,
    dry_run: bool = False,
    quiet: bool = False,
    runtime: Runtime | None = None,
    predictions: Path | None = None,
) -> None:
    """Run a published table and print published numbers and ours.

    Finished steps are skipped: the same call resumes. Cells with missing corpora are skipped and
    reported. The comparison is also written to ``OUT/NAME.csv``.

    Args:
        name: name of the table, such as focus-table-2.
        root: folder that contains the corpora; None: $FOCUS_DATA.
        out: output folder; tables in the same folder share faces, networks and maps.
        dry_run: only print the plan.
        quiet: hide progress.
        runtime: device, precision and seed of the steps; None: defaults.
        predictions: folder of outside systems' predictions, see :func:`plan`.

    Raises:
        InputError: no such table, no root, or all cells lack corpora.
        CheckFailedError: a step failed; the message gives the reason.
        KeyboardInterrupt: a step was interrupted; its work is kept.
    """
    protocol = get_protocol(name)
    root = root or os.environ.get(ROOT_VARIABLE, "")
    if not root:
        raise InputError(
            f"protocol {name}: give --root, the folder that contains the corpora, or set "
            f"{ROOT_VARIABLE}"
        )
    if dry_run:
        print(format_plan(plan(protocol, Path(root), Path(out), predictions=predictions)))
        return
    todo = plan(protocol, Path(root), Path(out), partial=True, predictions=predictions)
    absent = list(dict.fromkeys(place.missing for _, place in todo.places if not place.here))
    if todo.places and not todo.steps:
        raise InputError(f"--root {root}: no step of {name} can be run: {'; '.join(absent)}")
    for line in absent:
        note(f"skipped: {line}", quiet)
    execute(todo, replace(runtime or Runtime(), quiet=quiet))
    rows = compare(todo.protocol, read_results(todo))
    Path(out).mkdir(parents=True, exist_ok=True)
    write_comparison(Path(out) / f"{name}.csv", rows)
    print(f"\n{protocol.name}: {protocol.title}\n{protocol.source}\n\n{format_comparison(rows)}")


def execute(todo: Plan, runtime: Runtime) -> None:
    """Run unfinished steps by calling the functions of their commands.

    A step that raises CheckFailedError but wrote its output counts as done; its message, with the
    unreadable faces, is printed.

    Raises:
        CheckFailedError: a step failed.
        KeyboardInterrupt: a step was interrupted.
    """
    for number, step in enumerate(todo.steps, 1):
        if step.done:
            continue
        head = f"step {number} of {len(todo.steps)}"
        note(f"{head}: {shlex.join(step.words)}", runtime.quiet)
        _begin(step, todo)
        reason = "it wrote no output"
        try:
            step.run(runtime, resume=_is_begun(step))
        except InputError as error:
            raise CheckFailedError(_failure(head, step, str(error))) from None
        except CheckFailedError as error:
            reason = str(error)
            note(f"{head}: {reason}", runtime.quiet)
        if not step.output.exists():
            raise CheckFailedError(_failure(head, step, reason))


def _failure(head: str, step: Step, reason: str) -> str:
    command = shlex.join(step.words)
    return f"{head} failed: {reason}; fix this, then re-run. The step: {command}"


def _begin(step: Step, todo: Plan) -> None:
    """Record the command of a step; delete a small output of another command."""
    journal = read_journal(todo.out)
    name, command = sign(step, todo.root, todo.out)
    if journal.get(name) != command and step.output.suffix in (".json", ".csv"):
        step.output.unlink(missing_ok=True)
    step.output.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(todo.out / JOURNAL) as temporary:
        text = json.dumps({**journal, name: command}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def _is_begun(step: Step) -> bool:
    """Return whether a step is a training that was interrupted."""
    run = RunFolder(step.output.parent)
    return step.output == run.finished_mark and run.is_begun()
