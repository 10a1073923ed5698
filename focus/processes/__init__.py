"""The processes of a run: their rank, their signals, and the pools that work for one of them."""

from __future__ import annotations

import os


def process_rank() -> int:
    """Return this process's rank as its launcher set it; 0 in a run of one process."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdigit() else 0
