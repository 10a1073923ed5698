"""Options of single-module commands; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import QuietFlag, Runtime, SeedFlags

FEWEST = 5  # faces that t-SNE can lay out


@dataclass(frozen=True)
class CostCommand:
    """Measure parameters, MACs, throughput and memory of a detector or generator."""

    name: str
    """Detector or generator (see evaluator models)."""
    weights: str = ""
    """Run folder or weights file; default: random weights (the cost is the same)."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector, or of the generator and its network."""
    batch: int = 0
    """Batch size for time and memory; 0: 32 on a GPU, 1 on a CPU."""
    seconds: float = 5.0
    """Minimum duration of the throughput measurement, in seconds."""
    json: Path | None = None
    """Write the result to this JSON file; - for standard output."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed of the random weights and faces."""

    def __post_init__(self) -> None:
        if self.batch < 0:
            raise InputError(f"--batch {self.batch}: must be at least 1, or 0 for the default")
        if self.seconds < 0:
            raise InputError(f"--seconds {self.seconds}: must not be negative")


@dataclass(frozen=True)
class EmbedCommand:
    """Plot a t-SNE of the features of faces; write CSV and PNG."""

    method: str = ""
    """Detector; its newest finished run under runs/ is used."""
    weights: str = ""
    """Run folder or weights file, in place of --method."""
    source: Source = field(default_factory=Source)
    """The faces."""
    out: Path = Path("embedding")
    """Folder to write embedding.csv and embedding.png to."""
    layer: str = ""
    """Path of the module whose output is used; default: the last linear layer's input."""
    sample: int = 2000
    """Number of faces, spread evenly over the index; 0 for all."""
    colour: Literal["method", "label"] = "method"
    """Colour points by forgery method or by label."""
    perplexity: float = 30.0
    """Perplexity of t-SNE (effective number of neighbours)."""
    batch: int = 32
    """Faces per batch."""
    workers: int = -1
    """Loader processes; -1: the cores less one, at most 16."""
    stills: bool = False
    """Faces are still images: for a clip detector, synthesise small motion."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed of the t-SNE."""

    def __post_init__(self) -> None:
        if not (self.method or self.weights):
            raise InputError("--weights is missing: give a run folder, or --method NAME")
        if self.sample < 0 or 0 < self.sample < FEWEST:
            raise InputError(f"--sample {self.sample}: must be at least {FEWEST}, or 0 for all")
        if self.perplexity <= 0:
            raise InputError(f"--perplexity {self.perplexity}: must be above 0")
        if self.batch < 1:
            raise InputError(f"--batch {self.batch}: must be at least 1")


@dataclass(frozen=True)
class ModelsCommand:
    """List installed detectors and generators; each is imported to check it."""

    json: Path | None = None
    """Write the list to this JSON file; - for standard output."""
    runtime: QuietFlag = field(default_factory=QuietFlag)
    """Common flags."""


@dataclass(frozen=True)
class CheckCommand:
    """Check that a detector implements the contract: shapes, gradients, batches, two processes."""

    name: str
    """Detector name."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings. Weights are random; images have the smallest supported size unless
    image_size is given."""
    runtime: SeedFlags = field(default_factory=SeedFlags)
    """Seed of the random weights and faces."""
