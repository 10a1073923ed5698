"""Options of ``evaluator run`` and ``judge``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evaluator.scoring.options import Missing
from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import DeviceFlags, Runtime
from focus.training.options import FitOptions


@dataclass(frozen=True)
class JudgeCommand:
    """Score predictions of another system; nothing is trained."""

    predictions: Path
    """Map file, folder of PNG or NPY maps, or CSV or JSON of scores."""
    source: Source = field(default_factory=Source)
    """The faces; default: split test if there is one, else all."""
    out: Path = Path("results/judged")
    """Output folder."""
    missing: Missing = "leave-out"
    """Leave faces without a prediction out, or count them as wrong: the wrong class with
    certainty, and the complement of the truth as map."""
    draws: int = 1000
    """Bootstrap draws for the 95 % intervals; 0 for none."""
    runtime: DeviceFlags = field(default_factory=DeviceFlags)
    """Device that counts pixels, seed of the bootstrap."""


@dataclass(frozen=True)
class RunCommand:
    """Train a detector with maps as supervision and evaluate it on unseen test sets."""

    maps: str = "none"
    """Supervision besides labels: a map file, none, zeros, or truth (the masks of the index)."""
    model: str = "probe"
    """Detector (see evaluator models)."""
    source: Source = field(default_factory=Source)
    """Faces with splits train and val; default: recorded in the map file."""
    test: tuple[str, ...] = ()
    """Test sets, each NAME=SOURCE or NAME=SOURCE:SPLIT; default: the data's test split or, with a
    warning, its val split if it has no test split."""
    out: Path = Path("results/run")
    """Output folder. Re-running the same command resumes."""
    seeds: int = 1
    """Number of trainings, with consecutive seeds starting at --seed."""
    hold_out: float = 0.0
    """Select weights on this share of the training videos, not on split val."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector."""
    stills: bool = False
    """Faces are still images: for a clip detector, synthesise small motion."""
    draws: int = 1000
    """Bootstrap draws for the 95 % intervals; 0 for none."""
    fit: FitOptions = field(default_factory=FitOptions)
    """Training options; defaults depend on the detector."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, first seed."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"--seeds {self.seeds}: must be at least 1")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: must be at least 0, below 1")
