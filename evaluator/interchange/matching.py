"""Match predictions to faces by name, never by order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from evaluator.interchange.names import below, flat_names, strip_suffix
from focus.errors import InputError, count_of

LISTED = 5


class KeyTable:
    """Find the face that a name refers to.

    A name is resolved, in this order, as: an entry of ``names``; a key; a key made relative to the
    folder; that key without its image suffix; the flat name given by an export.

    Args:
        keys: the faces.
        names: name -> key of an export; empty if there is no export.
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
        """Return the keys that a name refers to: none, one, or several if ambiguous."""
        for table in self._tables:
            if found := table.get(name):
                return found
        return []

    def match(self, names: Iterable[str], where: str) -> tuple[dict[str, str], list[str]]:
        """Return key -> name of every matched face, and the names without a face.

        Args:
            names: names of predictions, without file suffix.
            where: folder or file of the predictions, for messages.

        Raises:
            InputError: a name matches several faces, or a face several names.
        """
        found: dict[str, list[str]] = {}
        unmatched, ambiguous = [], []
        for name in names:
            keys = self.find(name)
            if len(keys) > 1:
                ambiguous.append(f"{name} matches {' and '.join(keys[:LISTED])}")
            elif keys:
                found.setdefault(keys[0], []).append(name)
            else:
                unmatched.append(name)
        ambiguous += [
            f"{key} matches {' and '.join(several[:LISTED])}"
            for key, several in found.items()
            if len(several) > 1
        ]
        if ambiguous:
            count = count_of(len(ambiguous), "ambiguous prediction")
            raise InputError(
                f"{where}: {count}; name each by the path "
                f"of its face: {'; '.join(ambiguous[:LISTED])}"
            )
        return {key: several[0] for key, several in found.items()}, unmatched


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name, key in pairs:
        table.setdefault(name, []).append(key)
    return table
