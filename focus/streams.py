"""Standard streams that are closed, broken, or missing, as in a service or under ``pythonw``."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Open the null device in place of each standard stream that this process was started without.

    Otherwise the next file to be opened gets the stream's number, and what a library writes to
    standard error lands in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def close_quietly(stream: TextIO) -> None:
    """Send what is left of a stream whose reader went away, or whose disk is full, nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def print_error(text: str) -> None:
    """Print a line to standard error, or nowhere if nobody reads it any more."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        close_quietly(sys.stderr)
