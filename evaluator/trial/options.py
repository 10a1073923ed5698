"""Options of ``evaluator run`` and ``judge``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from evaluator.scoring.options import Missing
from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import Runtime
from focus.training.options import FitOptions


@dataclass(frozen=True)
class JudgeCommand:
    """Judge the predictions of an outside system; nothing is trained."""

    predictions: str
    """Map file, folder of PNG or NPY maps, or CSV or JSON of scores."""
    source: Source = field(default_factory=Source)
    """The faces; those of split test if there is one, unless --split names another."""
    out: str = "results/judged"
    """Folder of the result."""
    missing: Missing = "leave-out"
    """Leave faces without a prediction out, or count them as wrong: the wrong class with
    certainty, and the complement of the truth as map."""
    draws: int = 1000
    """Bootstrap draws behind the 95 % intervals; 0 for none."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device that counts pixels, and quietness."""


@dataclass(frozen=True)
class RunCommand:
    """Train a detector under a kind of map and judge it on test sets it has never seen."""

    maps: str = "none"
    """What it learns from beside labels: a map file, none, zeros, or truth (the index's masks)."""
    model: str = "probe"
    """A detector; evaluator models lists them."""
    source: Source = field(default_factory=Source)
    """Faces with splits train and val; the map file's own unless given."""
    test: tuple[str, ...] = ()
    """Test sets, each NAME=SOURCE or NAME=SOURCE:SPLIT; the data's own test split unless given, or
    their val split, with a warning, if they have none."""
    out: str = "results/run"
    """Folder of the trial; the same command goes on where it was stopped."""
    seeds: int = 1
    """How often to train, with seeds from --seed on."""
    hold_out: float = 0.0
    """Select on this share of the training videos instead of on the split val."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector."""
    stills: bool = False
    """Every face is a still picture: a clip is small motion over it."""
    draws: int = 1000
    """Bootstrap draws behind the 95 % intervals; 0 for none."""
    fit: FitOptions = field(default_factory=FitOptions)
    """The training; what is not given is the detector's own."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, first seed."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"--seeds {self.seeds}: must be at least 1")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out {self.hold_out}: a share of at least 0, below 1")
