"""Plan of a table: calls of commands in order, and the files with its numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import evaluator.cli
import focus.cli
from evaluator.protocols.places import Place
from evaluator.protocols.records import Column, Faces, Protocol, Row, Setting
from focus.arguments import unparse
from focus.commands import Command, load
from focus.runtime import Runtime

Form = Literal["run", "judge", "score", "robustness", "cost"]


_COMMANDS = {"focus": focus.cli.COMMANDS, "evaluator": evaluator.cli.COMMANDS}


@dataclass(frozen=True)
class Step:
    """A call of a command of ``focus`` or ``evaluator``."""

    options: Any
    """The dataclass of the command."""
    output: Path
    """Exists once the step is done."""
    hours: float = 0.0
    """Estimated GPU hours; 0 if not a training."""
    needs: tuple[str, ...] = ()
    """Required corpora that are missing."""
    done: bool = False
    """The output exists and was made by this command."""

    @property
    def words(self) -> tuple[str, ...]:
        """The equivalent command line."""
        program, name, command = _find_command(type(self.options))
        return (program, name, *unparse(self.options, command.words))

    def run(self, runtime: Runtime, resume: bool) -> None:
        """Call the function of the command.

        Args:
            runtime: device, precision, seed and quiet; a command takes those that it has.
            resume: continue an interrupted training.

        Raises:
            InputError: see the command.
            CheckFailedError: see the command.
        """
        more = {"resume": True} if resume else {}
        call = load(_find_command(type(self.options))[2].function)
        call(replace(self.options, runtime=runtime, **more))


def _find_command(options: type) -> tuple[str, str, Command]:
    """Return program, name and entry of the command that has these options."""
    return next(
        (program, name, command)
        for program, commands in _COMMANDS.items()
        for name, command in commands.items()
        if load(command.config) is options
    )


class Evidence(NamedTuple):
    """The result file of a setting on a test set."""

    setting: str
    test: str
    path: Path
    form: Form


@dataclass(frozen=True)
class Plan:
    """Ordered steps of a table, corpora and missing items."""

    protocol: Protocol
    root: Path
    out: Path
    steps: tuple[Step, ...]
    evidence: tuple[Evidence, ...]
    places: tuple[tuple[Faces, Place], ...]
    """All corpora of the table."""
    missing: tuple[str, ...]
    """Missing corpora and detectors, a line each."""

    @property
    def hours(self) -> float:
        """Estimated GPU hours of unfinished steps."""
        return sum(step.hours for step in self.steps if not step.done)


class Cell(NamedTuple):
    """A cell of the table that can be computed."""

    row: Row
    column: Column
    setting: Setting

    @property
    def test(self) -> Faces | None:
        """The faces whose test split is used."""
        return self.column.test or self.setting.train
