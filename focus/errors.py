"""Exceptions: InputError (exit 2), CheckFailedError (exit 1), UnreadableError (one bad image)."""

from __future__ import annotations

import re

LONGEST = 400  # characters of a message
_HEAD = 250


def printable(text: str) -> str:
    """Return a text with all unprintable characters escaped.

    A name in an untrusted file may contain line ends, terminal escape sequences, characters that
    change the writing direction, or half of a surrogate pair, which no encoding can write.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def shorten(value: object, longest: int) -> str:
    """Return a value of an untrusted file as text of at most ``longest`` characters."""
    text = str(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def first_line(error: Exception) -> str:
    """Return the first line, and the second after a heading, as torch writes them."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch writes some of it in bold
    lines = (text.strip() or type(error).__name__).splitlines()
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])[:200]


def _one_line(text: str) -> str:
    """Cut the middle of a long message: its ends contain the place and the fix."""
    # Cut before escaping, which is slow for megabytes, and after it, since escapes add length.
    text = text if len(text) <= LONGEST else f"{text[:_HEAD]} ... {text[_HEAD - LONGEST + 6 :]}"
    text = printable(text)
    return text if len(text) < LONGEST else f"{text[:_HEAD]} ... {text[_HEAD - LONGEST + 6 :]}"


class InputError(ValueError):
    """Bad input or arguments: one line with the error, the place and the fix (exit code 2)."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class CheckFailedError(RuntimeError):
    """The command ran, but a check failed (exit code 1)."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class UnreadableError(Exception):
    """An unreadable image: the reason in one line; the caller adds the path."""

    def __str__(self) -> str:
        return _one_line(super().__str__())

    @classmethod
    def because(cls, error: Exception) -> UnreadableError:
        """Wrap another error; of an operating-system error, its text without the number."""
        return cls(shorten(getattr(error, "strerror", None) or error, 200).lower())


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: ``1 face``, ``2,000 faces``.

    Args:
        count: any whole number.
        noun: the singular.
        plural: the plural, unless it is the singular plus s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
