"""Plan of a table: commands in order, and the files with its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from evaluator.protocols.places import Place
from evaluator.protocols.records import Column, Faces, Protocol, Row, Setting

Form = Literal["run", "score", "robustness", "cost"]


@dataclass(frozen=True)
class Step:
    """A command of ``focus`` or ``evaluator``."""

    program: Literal["focus", "evaluator"]
    arguments: tuple[str, ...]
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
        """The command line."""
        return (self.program, *self.arguments)


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
