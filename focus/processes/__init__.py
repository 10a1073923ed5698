"""Processes of a run: rank, signals and worker pools."""

from __future__ import annotations

import os


def process_rank() -> int:
    """Return this process's rank as its launcher set it; 0 in a run of one process."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdigit() else 0
