"""Options of the commands that are one module each, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from focus.data.sources import Source
from focus.errors import InputError
from focus.runtime import Runtime

FEWEST = 5  # faces that t-SNE can lay out


@dataclass(frozen=True)
class CostCommand:
    """Measure what a detector or generator takes: parameters, MACs, throughput, memory."""

    name: str
    """A detector or generator; evaluator models lists them."""
    weights: str = ""
    """A run folder or weights file; empty: random weights, which cost the same."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings of the detector, or of the generator and the network behind it."""
    batch: int = 0
    """Faces at once while time and memory are measured; 0: 32 on a GPU, 1 on a CPU."""
    seconds: float = 5.0
    """How long to measure the throughput, at least."""
    json: str = ""
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
    """Lay the features of faces out in the plane: a CSV and a picture."""

    method: str = ""
    """A detector, whose newest finished run under runs/ is taken."""
    weights: str = ""
    """A run folder or weights file instead."""
    source: Source = field(default_factory=Source)
    """The faces."""
    out: str = "embedding"
    """Folder to write embedding.csv and embedding.png to."""
    layer: str = ""
    """Path of the module whose output is taken; empty: what the last linear layer is given."""
    sample: int = 2000
    """Take so many faces, spread evenly over the index; 0 for all."""
    colour: Literal["method", "label"] = "method"
    """What the colours of the picture tell apart."""
    perplexity: float = 30.0
    """Of t-SNE: how many neighbours count."""
    batch: int = 32
    """Faces that the network sees at once."""
    workers: int = -1
    """Loader processes; -1: the cores less one, at most 16."""
    stills: bool = False
    """Every face is a still picture: a detector of clips sees it in small motion."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision, seed of the layout."""

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
    """List every detector and generator that is installed; each is imported once."""

    json: str = ""
    """Write the list to this JSON file; - for standard output."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""


@dataclass(frozen=True)
class CheckCommand:
    """Hold a detector to the contract: shapes, gradients, one-class batches, two processes."""

    name: str
    """The detector."""
    options: tuple[str, ...] = ()
    """NAME=VALUE settings. Its weights start at random, and it is trained on the smallest pictures
    that it takes unless image_size is given."""
    runtime: Runtime = field(default_factory=Runtime)
    """Seed of weights and drawn faces."""
