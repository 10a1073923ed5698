"""Options of ``evaluator protocol``; importing this does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from focus.runtime import Runtime


@dataclass(frozen=True)
class ProtocolCommand:
    """Run a paper's table: train, test, and compare with the published numbers."""

    name: str
    """The table, such as focus-table-2."""
    root: str = ""
    """Folder that holds the corpora; $FOCUS_DATA unless given."""
    out: str = "results/protocols"
    """Folder of everything that is made; tables may share it. Re-running resumes."""
    dry_run: bool = False
    """Print the plan, its cost and what is missing; run nothing."""
    runtime: Runtime = field(default_factory=Runtime)
    """Device, precision and seed of the steps."""
