"""Options of ``evaluator export`` and ``import``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from focus.data.sources import Source
from focus.errors import InputError
from focus.mapstore.hdf5 import LIMIT_SIDE
from focus.runtime import QuietFlag

Format = Literal["imdl", "wsol", "coco", "png", "parquet", "webdataset"]


@dataclass(frozen=True)
class ExportCommand:
    """Convert the maps of a file to the format of another tool."""

    maps: Path
    """Map file."""
    out: Path
    """Output folder; new or empty."""
    format: Format = "png"
    """imdl, wsol (NPY), coco (RLE): image size; png: 16 bits, the size of the stored maps; parquet,
    webdataset (tar): image, map, score and label of each face."""
    threshold: float = 0.5
    """Pixels above this value are in the mask (coco only)."""
    data: str = ""
    """Corpus name, index file or folder of the faces; default: recorded in the map file."""
    root: Path | None = None
    """Folder of a named corpus (default: $FOCUS_DATA/NAME), or base of an index's paths."""
    runtime: QuietFlag = field(default_factory=QuietFlag)
    """Common flags."""

    def __post_init__(self) -> None:
        if self.format not in get_args(Format):
            raise InputError(f"--format {self.format}: use {', '.join(get_args(Format))}")
        if not 0 <= self.threshold < 1:
            raise InputError(f"--threshold {self.threshold}: must be at least 0, below 1")


@dataclass(frozen=True)
class ImportCommand:
    """Convert maps and scores of another system to a map file."""

    predictions: Path | None = None
    """Folder of maps (PNG or NPY), named by the paths of the faces; omit to import scores only."""
    source: Source = field(default_factory=Source)
    """The faces."""
    out: Path = Path("imported.h5")
    """Output map file."""
    scores: Path | None = None
    """CSV of key,score, or JSON of {name: probability}; default: the file in the folder."""
    name: str = "import"
    """Name of the system, recorded in the map file."""
    size: int = 0
    """Resize maps to this side in pixels; 0: keep them, all must have the same size."""
    overwrite: bool = False
    """Replace --out if it exists."""
    runtime: QuietFlag = field(default_factory=QuietFlag)
    """Common flags."""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LIMIT_SIDE:
            raise InputError(f"--size {self.size}: must be at least 0, at most {LIMIT_SIDE}")
        if not (self.predictions or self.scores):
            raise InputError("nothing to import: give a folder of maps, --scores, or both")
