"""A plan as text: corpora, steps, estimated cost, missing items."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator

from evaluator.protocols.effort import PASSES, SUSTAINED_TFLOPS
from evaluator.protocols.plans import Plan
from focus.errors import count_of

WIDTH = 100


def format_plan(plan: Plan) -> str:
    """Return the plan as text: corpora, steps as shell commands, GPU hours, notes."""
    table = plan.protocol
    lines = [f"{table.name}: {table.title}", *_wrap(f"numbers: {table.source}"), ""]
    lines += [*_corpora(plan), *_steps(plan), *_total(plan)]
    if plan.missing:
        lines += ["", "missing", *(line for text in plan.missing for line in _wrap(f"- {text}"))]
    lines += ["", "notes", *(line for note in _notes(plan) for line in _wrap(f"- {note}"))]
    return "\n".join(lines)


def _corpora(plan: Plan) -> Iterator[str]:
    shown = {(faces.corpus, str(place.path)): place for faces, place in plan.places}
    if not shown:
        return
    width = max(len(corpus) for corpus, _ in shown)
    yield "corpora"
    for (corpus, path), place in shown.items():
        state = "missing" if not place.here else "faces" if place.prepared else "found"
        yield f"  {corpus:{width}}  {state:7}  {path}"
    yield ""


def _steps(plan: Plan) -> Iterator[str]:
    if not plan.steps:
        return
    yield f"steps (output: {plan.out})"
    width = len(str(len(plan.steps)))
    for number, step in enumerate(plan.steps, 1):
        hours = f"{step.hours:.1f} h" if step.hours else ""
        state = "done" if step.done else "waits" if step.needs else ""
        yield f"  {number:{width}}  {hours:>7}  {state:5}  {shlex.join(step.words)}"
    yield ""


def _total(plan: Plan) -> Iterator[str]:
    done = sum(step.done for step in plan.steps)
    waits = sum(bool(step.needs) for step in plan.steps)
    head = f"{count_of(len(plan.steps), 'step')}" + (f", {done} of them done" if done else "")
    head += f", {waits} wait for corpora that are missing" if waits else ""
    if plan.hours:
        head += (
            f"; about {plan.hours:,.0f} GPU hours of training remain. This is an estimate: steps"
            f" x batch x multiply-adds x 2 x {PASSES} over an assumed {SUSTAINED_TFLOPS:g} TFLOPS"
            " sustained; without preparation, validation, maps and tests"
        )
    yield from _wrap(head)


def _notes(plan: Plan) -> Iterator[str]:
    table = plan.protocol
    if any(step.hours for step in plan.steps):
        repeats = f"{table.seeds} seeds" if table.seeds > 1 else "one seed"
        yield f"weights are selected on {table.selection}; {repeats} of every detector"
    for words, labels in (
        ("trained here", [row.label for row in table.rows if row.trained]),
        ("from predictions", [row.label for row in table.rows if row.predictions]),
        ("only quoted", [r.label for r in table.rows if not (r.trained or r.predictions)]),
    ):
        if labels:
            all_rows = len(labels) == len(table.rows)
            yield f"{words}: {'all rows' if all_rows else '; '.join(labels)}"
    yield from table.notes
    yield from (f"{row.label}: {row.note}" for row in table.rows if row.note)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
