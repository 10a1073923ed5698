"""Options of ``evaluator compare``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evaluator.trial.options import RunCommand
from focus.errors import InputError


@dataclass(frozen=True)
class CompareCommand:
    """Train detectors under several kinds of maps and compare them: a grid of trials."""

    model: tuple[str, ...]
    """Detectors (see evaluator models)."""
    maps: tuple[str, ...]
    """Kinds of supervision besides labels: map files, each as FILE or NAME=FILE, none, zeros or
    truth."""
    out: Path = Path("results/compare")
    """Output folder, with a trial in each MODEL/MAPS. Re-running the same command resumes."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of all detectors, or MODEL.NAME=VALUE of one."""
    trial: RunCommand = field(default_factory=RunCommand)
    """The other options, equal in all trials."""

    def __post_init__(self) -> None:
        for name in ("model", "maps"):
            if not getattr(self, name):
                raise InputError(f"--{name}: give at least one")
