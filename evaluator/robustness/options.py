"""``evaluator robustness``: its options, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from evaluator.perturbations import KINDS, SEVEN, Perturbation
from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import Runtime

LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class RobustnessCommand:
    """Corrupt the pictures, make scores and maps anew, and compare with the clean ones."""

    out: str
    """Folder of the map files and the report; the same command goes on where it was stopped."""
    source: Source = field(default_factory=Source)
    """The faces; those of the map file unless given."""
    maps: str = ""
    """Map file that says which generator and which faces; give --weights too."""
    model: str = ""
    """Generator or detector by name, as --method of focus generate."""
    method: str = ""
    """The same as --model."""
    weights: str = ""
    """Its run folder or weights file."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of it."""
    corruptions: tuple[str, ...] = SEVEN
    """Corruptions, among saturation, contrast, block (frames), block-crop (face crops), noise,
    blur, pixel, compress, jpeg, resize and mix."""
    levels: tuple[int, ...] = LEVELS
    """Levels, 1 to 5; mix has level 1 alone."""
    sample: int = 0
    """Judge so many faces, as many real as fake, evenly spread; 0: all."""
    draws: int = 1000
    """Bootstrap draws behind the 95 % intervals; 0 for none."""
    batch: int = 64
    """Faces that the network sees at once."""
    workers: int = -1
    """Loader processes; -1: the cores less one, at most 16."""
    stills: bool = False
    """Every face is a still picture: a method that wants clips sees it in small motion."""
    overwrite: bool = False
    """Make map files anew that are there."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has; the seed is that of the corruptions and the draws."""

    def __post_init__(self) -> None:
        for name, value in (("sample", self.sample), ("draws", self.draws)):
            if value < 0:
                raise InputError(f"--{name} {value}: must be 0 or more")
        unknown = [kind for kind in self.corruptions if kind not in KINDS]
        if unknown or not self.corruptions:
            said = " ".join(unknown) or "none given"
            raise InputError(f"--corruptions {said}: use {', '.join(KINDS)}")
        if not self.levels or not set(self.levels) <= set(LEVELS):
            raise InputError(f"--levels {' '.join(map(str, self.levels))}: use 1 to 5")
        if self.maps and (self.model or self.method):
            raise InputError("--maps says which generator it is: leave out --model and --method")
        if self.model and self.method and self.model != self.method:
            raise InputError("--model and --method mean the same: give one of them")

    def conditions(self) -> list[Condition]:
        """Return what is asked for, clean first, kinds and levels in the order of their table.

        Raises:
            InputError: levels that a kind does not have, or no video encoder for ``compress``.
        """
        found = [CLEAN]
        for kind in (kind for kind in KINDS if kind in self.corruptions):
            levels = [level for level in KINDS[kind].levels if level in self.levels]
            if not levels:
                raise InputError(f"--levels: {kind} has level 1 alone")
            found += [Condition(kind, Perturbation(kind, level).level) for level in levels]
        return found


class Condition(NamedTuple):
    """How the pictures were when a map file was made; the default is clean."""

    kind: str = "clean"
    level: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.level}" if self.level else self.kind


CLEAN = Condition()
