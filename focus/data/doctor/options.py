"""``focus doctor``: its options, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from focus.data.sources import Source
from focus.runtime import QuietFlag


@dataclass(frozen=True)
class DoctorCommand:
    """Check a corpus for faults; exit with code 1 if any is serious."""

    source: Source = field(default_factory=Source)
    """The faces."""
    json: Path | None = None
    """Also write the findings to this file as JSON (-: print only the JSON to standard output)."""
    workers: int = -1
    """Processes that inspect files; -1: one fewer than the cores, at most 16."""
    quick: bool = False
    """Read file headers only; decode nothing."""
    runtime: QuietFlag = field(default_factory=QuietFlag)
