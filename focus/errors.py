"""The two ways in which a command ends early: bad input, and a failed check."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or arguments: one line that says what, where, and how to mend it (exit code 2)."""


class CheckFailedError(RuntimeError):
    """The command ran, and what it checked does not hold (exit code 1)."""
