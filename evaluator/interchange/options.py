"""Options of ``evaluator export`` and ``import``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from focus.data.sources import Source
from focus.errors import InputError
from focus.mapstore.hdf5 import LIMIT_SIDE
from focus.runtime import Runtime

Format = Literal["imdl", "wsol", "coco", "png"]


@dataclass(frozen=True)
class ExportCommand:
    """Write the maps of a file in the form of another tool."""

    maps: str
    """Map file."""
    out: str
    """Folder to make."""
    format: Format = "png"
    """imdl, wsol (NPY) or coco (RLE) at the size of the pictures; png: 16 bits, the file's size."""
    threshold: float = 0.5
    """Pixels above this value are in the mask (coco alone)."""
    data: str = ""
    """Corpus name, index file or folder of the faces; the map file's own unless given."""
    root: str = ""
    """Folder of a named corpus (else $FOCUS_DATA/NAME), or where an index's paths start."""
    runtime: Runtime = field(default_factory=Runtime)
    """Quietness."""

    def __post_init__(self) -> None:
        if self.format not in get_args(Format):
            raise InputError(f"--format {self.format}: use {', '.join(get_args(Format))}")
        if not 0 <= self.threshold < 1:
            raise InputError(f"--threshold {self.threshold}: must be at least 0, below 1")


@dataclass(frozen=True)
class ImportCommand:
    """Make a map file of maps and scores that an outside system wrote."""

    predictions: str = ""
    """Folder of maps (PNG or NPY), named by the paths of the faces; empty: scores alone."""
    source: Source = field(default_factory=Source)
    """The faces."""
    out: str = "imported.h5"
    """The map file."""
    scores: str = ""
    """CSV of key,score, or JSON of {name: probability}; the folder's own unless given."""
    name: str = "import"
    """What the map file calls the system."""
    size: int = 0
    """Resize every map to so many pixels a side; 0: keep them, which must be of one size."""
    overwrite: bool = False
    """Replace --out."""
    runtime: Runtime = field(default_factory=Runtime)
    """Quietness."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LIMIT_SIDE:
            raise InputError(f"--size {self.size}: must be at least 0, at most {LIMIT_SIDE}")
        if not (self.predictions or self.scores):
            raise InputError("nothing to import: give a folder of maps, --scores, or both")
