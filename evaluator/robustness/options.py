"""Options of ``evaluator robustness``, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evaluator.perturbations import KINDS, SEVEN, Perturbation
from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import Runtime

LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class RobustnessCommand:
    """Measure the robustness of scores and maps to image corruptions."""

    out: Path
    """Output folder of map files and report. Re-running the same command resumes."""
    source: Source = field(default_factory=Source)
    """The faces. Default: those of the map file."""
    maps: Path | None = None
    """Map file that names the generator and the faces; also needs --weights."""
    model: str = ""
    """Generator or detector name, as for --method of focus generate."""
    method: str = ""
    """Alias of --model."""
    weights: str = ""
    """Run folder or weights file of the generator."""
    options: tuple[str, ...] = ()
    """Generator settings, as NAME=VALUE."""
    corruptions: tuple[str, ...] = SEVEN
    """Corruptions: saturation, contrast, block (frames), block-crop (face crops), noise, blur,
    pixel, compress, jpeg, resize, mix."""
    levels: tuple[int, ...] = LEVELS
    """Levels, 1 to 5; mix has only level 1."""
    sample: int = 0
    """Evaluate only N faces, half real and half fake, evenly spread; 0: all."""
    draws: int = 1000
    """Bootstrap draws for the 95 % intervals; 0: no intervals."""
    batch: int = 64
    """Batch size."""
    workers: int = -1
    """Data-loader workers; -1: number of cores minus one, at most 16."""
    stills: bool = False
    """Treat every face as a still image; methods that need clips get it with small motion."""
    overwrite: bool = False
    """Replace existing map files."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed of corruptions and bootstrap, --quiet."""

    def __post_init__(self) -> None:
        for name, value in (("sample", self.sample), ("draws", self.draws)):
            if value < 0:
                raise InputError(f"--{name} {value}: must be 0 or more")
        unknown = [kind for kind in self.corruptions if kind not in KINDS]
        if unknown or not self.corruptions:
            given = " ".join(unknown) or "(empty)"
            raise InputError(f"--corruptions {given}: choose from {', '.join(KINDS)}")
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise InputError(f"--levels {' '.join(map(str, self.levels))}: use 1 to 5")
        if self.maps and (self.model or self.method):
            raise InputError("--maps already names the generator: omit --model and --method")
        if self.model and self.method and self.model != self.method:
            raise InputError("--model and --method mean the same: use only one of them")

    def conditions(self) -> list[Condition]:
        """Return the requested conditions: clean first, then kinds and levels in table order.

        Raises:
            InputError: a kind has none of the levels, or ``compress`` has no video encoder.
        """
        found = [CLEAN]
        for kind in (kind for kind in KINDS if kind in self.corruptions):
            levels = [level for level in KINDS[kind].levels if level in self.levels]
            if not levels:
                raise InputError(f"--levels: {kind} has only level 1")
            found += [Condition(kind, Perturbation(kind, level).level) for level in levels]
        return found


class Condition(NamedTuple):
    """The corruption of the images behind a map file; the default is clean."""

    kind: str = "clean"
    level: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.level}" if self.level else self.kind


CLEAN = Condition()
