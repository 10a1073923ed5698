"""Options of ``evaluator protocol``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from focus.runtime import Runtime


@dataclass(frozen=True)
class ProtocolCommand:
    """Reproduce a table of a paper: train, test, and compare with the published numbers."""

    name: str
    """Name of the table, such as focus-table-2."""
    root: Path | None = None
    """Folder that contains the corpora; default: $FOCUS_DATA."""
    out: Path = Path("results/protocols")
    """Output folder; tables may share it. Re-running resumes."""
    predictions: Path | None = None
    """Folder of other systems' predictions: ROW/TRAIN/TEST.csv, .json or .h5, or a folder of maps.
    The plan names the rows."""
    dry_run: bool = False
    """Print the plan, its cost and missing corpora; run nothing."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision and seed of the steps."""
