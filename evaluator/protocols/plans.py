"""A plan: the commands that a table takes, in their order, and where its numbers will stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from evaluator.protocols.places import Place
from evaluator.protocols.records import Column, Faces, Protocol, Row, Setting

Form = Literal["run", "score", "robustness", "cost"]


@dataclass(frozen=True)
class Step:
    """One command of ours."""

    program: Literal["focus", "evaluator"]
    arguments: tuple[str, ...]
    output: Path
    """There once the step is done."""
    hours: float = 0.0
    """GPU hours, estimated; 0 for what is not training."""
    needs: tuple[str, ...] = ()
    """Corpora that it needs and that are not there."""
    done: bool = False
    """The output is there, and was made by this command."""

    @property
    def words(self) -> tuple[str, ...]:
        """The command line."""
        return (self.program, *self.arguments)


class Evidence(NamedTuple):
    """Where the numbers of a setting on a test set will stand."""

    setting: str
    test: str
    path: Path
    form: Form


@dataclass(frozen=True)
class Plan:
    """The steps of a table in their order, and what is known about them beforehand."""

    protocol: Protocol
    root: Path
    out: Path
    steps: tuple[Step, ...]
    evidence: tuple[Evidence, ...]
    places: tuple[tuple[Faces, Place], ...]
    """Every corpus that the table uses."""
    missing: tuple[str, ...]
    """Corpora and detectors that are not there, a line each."""

    @property
    def hours(self) -> float:
        """GPU hours of the steps that are not done, estimated."""
        return sum(step.hours for step in self.steps if not step.done)


class Cell(NamedTuple):
    """A cell of the table that we can make a number for."""

    row: Row
    column: Column
    setting: Setting

    @property
    def test(self) -> Faces | None:
        """The faces whose test split is judged."""
        return self.column.test or self.setting.train
