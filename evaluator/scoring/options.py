"""Options of ``evaluator score``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from focus.data.index import SPLITS
from focus.errors import InputError
from focus.runtime import DeviceFlags

Missing = Literal["leave-out", "wrong"]

Threshold = Literal["0.5", "val", "none"]


@dataclass(frozen=True)
class ScoreCommand:
    """Score the maps of a file against truth masks; nothing is trained."""

    maps: Path
    """Map file to score."""
    data: str = ""
    """Corpus name, index file or folder of the faces; default: recorded in the map file."""
    root: Path | None = None
    """Folder of a named corpus (default: $FOCUS_DATA/NAME), or base of an index's paths."""
    split: str = "test"
    """train, val, test or all."""
    threshold: Threshold = "0.5"
    """Mark pixels above 0.5, above the value with the best f1_fake on val, or not at all."""
    missing: Missing = "leave-out"
    """Leave faces without a prediction out, or count them as wrong: the wrong class with
    certainty, and the complement of the truth as map."""
    by: tuple[str, ...] = ()
    """Further index columns to break down by; method is always included."""
    json: Path | None = None
    """Write the result to this JSON file; - for standard output."""
    draws: int = 1000
    """Bootstrap draws for the 95 % intervals; 0 for none."""
    runtime: DeviceFlags = field(default_factory=DeviceFlags)
    """Seed of the bootstrap, device that counts pixels, --quiet."""

    def __post_init__(self) -> None:
        if self.split not in (*SPLITS, "all", ""):
            raise InputError(f"--split {self.split}: use {', '.join(SPLITS)} or all")
        if self.draws < 0:
            raise InputError(f"--draws {self.draws}: must be 0 (no intervals) or more")
