"""Registry of classes by name, through entry points; the same for built-ins and plug-ins.

Listing imports nothing; ``get`` imports one member. A name claimed twice is an error that names
both claimants. A member that fails to import does not affect the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, TypeVar

from focus.errors import InputError

T = TypeVar("T")


class Entry(NamedTuple):
    """Name and origin of a member, known without importing it."""

    name: str
    distribution: str
    version: str
    target: str


class Registry(Generic[T]):
    """Classes or functions of an entry-point group, and those registered in this process.

    Args:
        group: entry-point group, for example ``focus.generators``.
        noun: word for a member in messages.
    """

    def __init__(self, group: str, noun: str) -> None:
        self.group, self.noun = group, noun
        self._registered: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a class for this process, as in a notebook.

        Raises:
            InputError: the name is taken.
        """

        def keep(member: T) -> T:
            taken = [entry.target for entry in self.entries() if entry.name == name]
            if taken:
                raise InputError(f"{self.noun} '{name}' is taken by {taken[0]}")
            self._registered[name] = member
            return member

        return keep

    @contextmanager
    def temporarily(self, name: str, member: T) -> Iterator[None]:
        """Register a member for the duration of a ``with`` block."""
        self.register(name)(member)
        try:
            yield
        finally:
            del self._registered[name]

    def entries(self) -> list[Entry]:
        """Return every member's name and origin, sorted by name; imports nothing."""
        found = [_describe(point) for point in entry_points(group=self.group)]
        here = [
            Entry(name, "this process", "", f"{member.__module__}:{_qualify(member)}")
            for name, member in self._registered.items()
        ]
        return sorted({*found, *here})

    def names(self) -> list[str]:
        """Return all names, sorted; imports nothing."""
        return sorted({entry.name for entry in self.entries()})

    def get(self, name: str) -> T:
        """Import and return a member.

        Raises:
            InputError: an unknown name, one claimed twice, or one that fails to import.
        """
        if name in self._registered:
            return self._registered[name]
        points = {_describe(point): point for point in entry_points(group=self.group, name=name)}
        if not points:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"perhaps {near[0]}? " if near else ""
            known = ", ".join(self.names()) or "none is installed"
            raise InputError(f"no {self.noun} '{name}'; {hint}known: {known}")
        if len(points) > 1:
            claims = " and ".join(f"{entry.target} of {entry.distribution}" for entry in points)
            raise InputError(f"{self.noun} '{name}' is claimed twice: by {claims}; uninstall one")
        entry, point = next(iter(points.items()))
        try:
            return point.load()
        except Exception as error:  # a third-party module may fail in any way
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{self.noun} '{name}' of {entry.distribution} cannot be imported ({reason})"
            ) from error


def _qualify(member: object) -> str:
    """Return the name of a class or function, or the class name of an instance."""
    return str(getattr(member, "__qualname__", type(member).__qualname__))


def _describe(point: EntryPoint) -> Entry:
    distribution: Any = point.dist
    name, version = (distribution.name, distribution.version) if distribution else ("unknown", "")
    return Entry(point.name, name, version, point.value)
