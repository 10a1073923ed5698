"""Handle closed, broken or missing standard streams, as in a service or under ``pythonw``."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Open the null device for each standard stream that is missing in this process.

    Otherwise the next opened file gets the stream's number, and output of a library to standard
    error is written into that file.
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
    """Discard the remaining output of a stream whose reader has exited or whose disk is full."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def print_error(text: str) -> None:
    """Print a line to standard error; do nothing if it is broken."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        close_quietly(sys.stderr)
