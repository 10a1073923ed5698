"""``focus doctor``: its options, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from focus.data.sources import Source
from focus.runtime import Runtime


@dataclass(frozen=True)
class DoctorCommand:
    """Look for every fault of a corpus at once; exit code 1 if one is serious."""

    source: Source = field(default_factory=Source)
    """The faces."""
    json: str = ""
    """Also write the findings to this file (-: to standard output, and nothing else)."""
    workers: int = -1
    """Processes that look at files; -1: as many as there are cores but one, at most 16."""
    quick: bool = False
    """Read the headers of files and decode nothing."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""
