"""Processes of a run: rank, signals and worker pools."""

from __future__ import annotations

import os
import sys
import tempfile

from focus.errors import InputError

LONGEST = 71
"""Characters of a temporary folder: 103 of a socket's path without multiprocessing's names."""


def process_rank() -> int:
    """Return this process's rank as its launcher set it; 0 in a run of one process."""
    rank = os.environ.get("RANK", "0")
    return int(rank) if rank.isdigit() else 0


def check_sockets() -> None:
    """Check that loader workers can send tensors: by sockets in the temporary folder.

    A worker that cannot bind its socket prints a traceback and loses the batch, and the reader
    waits for ever. From 3.14 on Python uses another folder by itself.

    Raises:
        InputError: the path of the temporary folder is too long.
    """
    folder = tempfile.gettempdir()
    size = len(os.fsencode(folder))
    if size > LONGEST and sys.platform != "win32" and sys.version_info < (3, 14):
        raise InputError(
            f"temporary folder {folder}: {size} characters, at most {LONGEST} for the sockets of "
            "worker processes; set TMPDIR to a shorter path, or use --workers 0"
        )
