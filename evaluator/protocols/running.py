"""``evaluator run --protocol NAME``: all steps of a table, one after the other, and the result."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evaluator.protocols.building import FINISHED
from evaluator.protocols.comparing import (
    compare,
    format_comparison,
    read_results,
    write_comparison,
)
from evaluator.protocols.planning import JOURNAL, plan, read_journal, sign
from evaluator.protocols.plans import Plan, Step
from evaluator.protocols.printing import format_plan
from evaluator.protocols.tables import get_protocol
from focus.commands import INTERRUPTED
from focus.data.sources import ROOT_VARIABLE
from focus.errors import CheckFailedError, InputError
from focus.files import replace_file
from focus.runtime import Runtime, note

PARTLY = 1
_TRAINS = ("train", "run", "generate", "robustness")


def run_protocol(
    name: str,
    root: str | Path,
    out: str | Path,
    dry_run: bool = False,
    quiet: bool = False,
    runtime: Runtime | None = None,
) -> None:
    """Do all of a published table and print the printed numbers beside ours.

    Every step is a command of ours. What is finished is not done again: the same call goes on where
    it was stopped. Cells whose corpora are not there are left out, and named. The comparison is
    written to ``OUT/NAME.csv`` too.

    Args:
        name: such as focus-table-2.
        root: the folder that holds the corpora; empty: $FOCUS_DATA.
        out: everything goes here; tables may share it, and then share faces, networks and maps.
        dry_run: print the plan alone.
        quiet: no progress.
        runtime: device, precision and seed of the steps that compute; the defaults unless given.

    Raises:
        InputError: no such table, no root, or nothing can be done with the corpora there.
        CheckFailedError: a step did not finish; its own line says why.
        KeyboardInterrupt: a step was interrupted, its work is kept.
    """
    protocol = get_protocol(name)
    root = root or os.environ.get(ROOT_VARIABLE, "")
    if not root:
        raise InputError(
            f"--protocol {name}: give --root, the folder that holds the corpora, or set "
            f"{ROOT_VARIABLE}"
        )
    if dry_run:
        print(format_plan(plan(protocol, Path(root), Path(out))))
        return
    todo = plan(protocol, Path(root), Path(out), partial=True)
    absent = list(dict.fromkeys(place.missing for _, place in todo.places if not place.here))
    if todo.places and not todo.steps:
        raise InputError(f"--root {root}: nothing of {name} can be done: {'; '.join(absent)}")
    for line in absent:
        note(f"left out: {line}", quiet)
    execute(todo, replace(runtime or Runtime(), quiet=quiet))
    rows = compare(protocol, read_results(todo))
    Path(out).mkdir(parents=True, exist_ok=True)
    write_comparison(Path(out) / f"{name}.csv", rows)
    print(f"\n{protocol.name}: {protocol.title}\n{protocol.source}\n\n{format_comparison(rows)}")


def execute(todo: Plan, runtime: Runtime) -> None:
    """Run the steps that are not done, in this process.

    A step that ends with exit code 1 and made its output counts as done: it has said which faces it
    could not read.

    Raises:
        CheckFailedError: a step did not finish.
        KeyboardInterrupt: a step was interrupted.
    """
    for number, step in enumerate(todo.steps, 1):
        if step.done:
            continue
        head = f"step {number} of {len(todo.steps)}"
        note(f"{head}: {shlex.join(step.words)}", runtime.quiet)
        _begin(step, todo)
        code = _program(step.program)([*step.arguments, *_resume(step), *_flags(step, runtime)])
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code > PARTLY or not step.output.exists():
            raise CheckFailedError(
                f"{head} did not finish (exit code {code}, its line stands above): "
                f"{shlex.join(step.words)}; mend it and give the same command again"
            )


def _begin(step: Step, todo: Plan) -> None:
    """Record the command of a step; drop a small output that another command made."""
    journal = read_journal(todo.out)
    name, command = sign(step, todo.root, todo.out)
    if journal.get(name) != command and step.output.suffix in (".json", ".csv"):
        step.output.unlink(missing_ok=True)
    step.output.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(todo.out / JOURNAL) as temporary:
        text = json.dumps({**journal, name: command}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def _resume(step: Step) -> list[str]:
    """Return the flag with which a training that was stopped goes on."""
    begun = step.output.name == FINISHED and (step.output.parent / "config.json").exists()
    return ["--resume"] if begun else []


def _flags(step: Step, runtime: Runtime) -> list[str]:
    """Return the flags of the runtime that a command has a use for."""
    words = ["--quiet"] if runtime.quiet else []
    if step.arguments[0] in _TRAINS:
        words += ["--device", runtime.device, "--precision", runtime.precision]
        words += ["--seed", str(runtime.seed)]
    return words


def _program(name: str) -> Callable[[list[str]], int]:
    # Here and not above: the command lines import this when they are asked for a protocol.
    if name == "focus":
        from focus.cli import main

        return main
    from evaluator.cli import main as evaluator

    return evaluator
