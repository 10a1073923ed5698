"""Options of generation, export and renormalisation, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from focus.data.sources import Source
from focus.errors import InputError
from focus.mapstore.merging import parse_shard
from focus.normalisation import Normalisation
from focus.runtime import QuietFlag, Runtime


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of generation for any faces and generator."""

    batch: int = 64
    """Batch size in faces; does not change the maps."""
    workers: int = -1
    """Loader processes; -1: this process's share of the cores less one, at most 16."""
    shard: str = ""
    """I/N: process only the I-th of N equal shares of the faces; join them with focus merge."""
    real_maps: Literal["zero", "fake-class"] = "zero"
    """Maps of faces labelled real: zero, or the map of the fake class."""
    parts: bool = False
    """Also store the tensors behind the maps, for focus renormalise."""
    mirror: bool = False
    """Join each map and score with that of the mirrored face: better maps in twice the time."""
    on_error: Literal["skip", "stop"] = "skip"
    """skip: skip unreadable faces and report them at the end; stop: fail at the first."""
    overwrite: bool = False
    """Replace a file that exists, and drop unfinished parts of another run."""
    stills: bool = False
    """Every face is a still image: a method for clips gets it with small motion."""
    compile: bool = False
    """Compile the network first: slow to start, faster on long runs."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"--batch {self.batch}: must be at least 1")
        if self.workers < -1:
            raise InputError(f"--workers {self.workers}: must be at least 0, or -1 for the default")
        if self.shard:
            parse_shard(self.shard)
        if self.mirror and self.parts:
            raise InputError("--mirror: joined maps have no --parts; leave out one of the two")


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(GenerationConfig):
    """Write the manipulation maps of faces into one file."""

    source: Source = field(default_factory=Source)
    """The faces."""
    out: str = "focus.h5"
    """Output map file, or a URL. Re-running the same command resumes."""
    method: str = "focus"
    """The generator."""
    weights: str = ""
    """A run folder or weights file; empty: the newest finished run under runs/, else the released
    model."""
    normalise: str = ""
    """Normalisation of maps to [0, 1]: class_minmax, fused_minmax, global or image_minmax; empty:
    as configured in the run."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the method."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed, --quiet."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = get_args(Normalisation)
        if self.normalise not in ("", *known):
            raise InputError(f"--normalise {self.normalise}: use one of {', '.join(known)}")


@dataclass(frozen=True)
class ExportCommand:
    """Write a trained network as ONNX: uint8 faces in, scores and maps out."""

    weights: str
    """Run folder, or a weights file in one."""
    out: Path
    """The .onnx file to write."""
    runtime: QuietFlag = field(default_factory=QuietFlag)

    def __post_init__(self) -> None:
        if not self.out.name.endswith(".onnx"):
            raise InputError(f"--out {self.out}: must end in .onnx")


@dataclass(frozen=True)
class RenormaliseCommand:
    """Normalise the maps of a file made with --parts in another way; needs no GPU."""

    maps: Path
    """Map file made by focus generate --parts."""
    normalise: str
    """Normalisation to [0, 1]: class_minmax, fused_minmax, global or image_minmax."""
    out: Path
    """The map file to write."""
    options: tuple[str, ...] = ()
    """NAME=VALUE changes to the generator's settings, such as equation=4 of FoCus."""
    map_scale: float = 0.0
    """Constant of global; 0: the generator's own if it has one, else the 99.9th percentile over
    fakes."""
    overwrite: bool = False
    """Replace a file that exists."""
    runtime: QuietFlag = field(default_factory=QuietFlag)

    def __post_init__(self) -> None:
        if self.normalise not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise InputError(f"--normalise {self.normalise}: use one of {known}")
        if self.map_scale < 0:
            raise InputError(f"--map-scale {self.map_scale}: must be above 0")
