"""The two ways in which a command ends early, and what befalls a single picture."""

from __future__ import annotations

LONGEST = 400  # letters of a message
_HEAD = 250


def printable(text: str) -> str:
    """Return a text with everything in it escaped that a terminal would not print as it is.

    A name in a stranger's file may hold line ends, escape sequences of a terminal, signs that turn
    the direction of writing, or half of a surrogate pair, which no encoding can write.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def shorten(value: object, longest: int) -> str:
    """Return a value of a stranger's file as a text that is short enough for a message."""
    text = str(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _one_line(text: str) -> str:
    """Cut out the middle of a message that is too long: its ends say where, and how to mend it."""
    # Escapes lengthen a text, and a name of megabytes need not be escaped to be cut.
    text = text if len(text) <= LONGEST else f"{text[:_HEAD]} ... {text[_HEAD - LONGEST + 6 :]}"
    text = printable(text)
    return text if len(text) < LONGEST else f"{text[:_HEAD]} ... {text[_HEAD - LONGEST + 6 :]}"


class InputError(ValueError):
    """Bad input or arguments: one line that says what, where, and how to mend it (exit code 2)."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class CheckFailedError(RuntimeError):
    """The command ran, and what it checked does not hold (exit code 1)."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class UnreadableError(Exception):
    """A picture that cannot be read: the reason in one line, without the path (the caller's)."""

    def __str__(self) -> str:
        return _one_line(super().__str__())

    @classmethod
    def because(cls, error: Exception) -> UnreadableError:
        """Give the reason of another error (of the operating system: without its number)."""
        return cls(shorten(getattr(error, "strerror", None) or error, 200).lower())


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: ``1 face``, ``2 faces``.

    Args:
        count: any whole number.
        noun: the singular.
        plural: where adding an s is wrong.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
