"""The two ways in which a command ends early, and what befalls a single picture."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or arguments: one line that says what, where, and how to mend it (exit code 2)."""


class CheckFailedError(RuntimeError):
    """The command ran, and what it checked does not hold (exit code 1)."""


class UnreadableError(Exception):
    """A picture that cannot be read: the reason in one line, without the path (the caller's)."""

    @classmethod
    def because(cls, error: Exception) -> UnreadableError:
        """Give the reason of another error (of the operating system: without its number)."""
        return cls(str(getattr(error, "strerror", None) or error).lower())
