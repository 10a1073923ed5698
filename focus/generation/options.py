"""Options of generation, export and renormalisation, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from focus.data.sources import Source
from focus.errors import InputError
from focus.mapstore.merging import parse_shard
from focus.normalisation import Normalisation
from focus.runtime import Runtime


@dataclass(frozen=True)
class GenerationConfig:
    """How maps are made, whatever the faces and the generator."""

    batch: int = 64
    """Faces that the network sees at once; the maps do not depend on it."""
    workers: int = -1
    """Loader processes; -1: this process's share of the cores less one, at most 16."""
    shard: str = ""
    """I/N: only the I-th of N equal shares of the faces; focus merge puts them together."""
    real_maps: Literal["zero", "fake-class"] = "zero"
    """What faces labelled real get: a zero map, or the map of the fake class."""
    parts: bool = False
    """Keep the tensors behind the maps too, so that maps can be normalised anew."""
    on_error: Literal["skip", "stop"] = "skip"
    """Leave out a face that cannot be read and say so at the end, or stop at the first."""
    overwrite: bool = False
    """Replace a file that exists, and drop unfinished parts of another run."""
    stills: bool = False
    """Every face is a still picture: a method that wants clips sees it in small motion."""
    compile: bool = False
    """Compile the network first: slow to start, faster on long runs."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise InputError(f"--batch {self.batch}: must be at least 1")
        if self.workers < -1:
            raise InputError(f"--workers {self.workers}: must be at least 0, or -1 for the default")
        if self.shard:
            parse_shard(self.shard)


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(GenerationConfig):
    """Write the manipulation maps of faces into one file."""

    source: Source = field(default_factory=Source)
    """The faces."""
    out: str = "focus.h5"
    """The map file; the same command goes on where it was stopped."""
    method: str = "focus"
    """The generator."""
    weights: str = ""
    """A run folder or weights file; empty: the newest finished run under runs/."""
    normalise: str = ""
    """How maps reach [0, 1]: class_minmax, global or image_minmax; empty: as the run was
    configured."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the method."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""

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
    out: str
    """The .onnx file to write."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""

    def __post_init__(self) -> None:
        if not self.out.endswith(".onnx"):
            raise InputError(f"--out {self.out}: must end in .onnx")


@dataclass(frozen=True)
class RenormaliseCommand:
    """Bring the maps of a file made with --parts into [0, 1] in another way; no GPU is needed."""

    maps: str
    """Map file made by focus generate --parts."""
    normalise: str
    """class_minmax, global or image_minmax."""
    out: str
    """The map file to write."""
    options: tuple[str, ...] = ()
    """NAME=VALUE changes to the generator's settings, such as equation=4 of FoCus."""
    map_scale: float = 0.0
    """Constant of global; 0: the generator's own, else the 99.9th percentile over fakes."""
    overwrite: bool = False
    """Replace a file that exists."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""

    def __post_init__(self) -> None:
        if self.normalise not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise InputError(f"--normalise {self.normalise}: use one of {known}")
        if self.map_scale < 0:
            raise InputError(f"--map-scale {self.map_scale}: must be above 0")
