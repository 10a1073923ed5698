"""Which prediction belongs to which face: by name, never by order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evaluator.interchange.names import below, flat_names, strip_suffix
from focus.errors import InputError

LISTED = 5


class KeyTable:
    """Finds the face that a name stands for.

    A name is, in this order: what ``names`` says; a key; a key without what leads out of its
    folder; that without the suffix of its picture; or the flat name that an export gave it.

    Args:
        keys: the faces.
        names: name -> key of an export; empty where there is none.
    """

    def __init__(self, keys: Sequence[str], names: Mapping[str, str]) -> None:
        known = set(keys)
        self._tables: list[dict[str, list[str]]] = [
            {name: [key] for name, key in names.items() if key in known},
            {key: [key] for key in keys},
            _collect((below(key), key) for key in keys),
            _collect((strip_suffix(below(key)), key) for key in keys),
            _collect((name, key) for key, name in flat_names(keys).items()),
        ]

    def find(self, name: str) -> list[str]:
        """Return the faces of a name: none, one, or several where it is ambiguous."""
        for table in self._tables:
            if found := table.get(name):
                return found
        return []

    def match(self, names: Iterable[str], where: str) -> tuple[dict[str, str], list[str]]:
        """Return key -> name of every face that is named, and the names that stand for none.

        Args:
            names: without the suffix of the prediction's file.
            where: the folder or file that they stand in, for messages.

        Raises:
            InputError: a name of several faces, or several names of one face.
        """
        found: dict[str, list[str]] = {}
        strangers, ambiguous = [], []
        for name in names:
            keys = self.find(name)
            if len(keys) > 1:
                ambiguous.append(f"{name} may be {' or '.join(keys[:LISTED])}")
            elif keys:
                found.setdefault(keys[0], []).append(name)
            else:
                strangers.append(name)
        ambiguous += [
            f"{key} may be {' or '.join(several[:LISTED])}"
            for key, several in found.items()
            if len(several) > 1
        ]
        if ambiguous:
            raise InputError(
                f"{where}: {len(ambiguous)} predictions are ambiguous; name each by its face's "
                f"path: {'; '.join(ambiguous[:LISTED])}"
            )
        return {key: several[0] for key, several in found.items()}, strangers


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name, key in pairs:
        table.setdefault(name, []).append(key)
    return table
