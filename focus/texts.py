"""Compact sequences of a million texts, and fast lookup in them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, overload

import numpy as np

BLOCK = 16384  # texts held as Python objects at a time


class Texts(Sequence[str]):
    """An immutable sequence of texts: one byte buffer, and codes into it if texts repeat.

    In a list, a million texts are a million objects; a forked process copies their memory merely by
    reading them, because reading changes their reference counts. Here reading writes nothing, and
    pickling copies a few arrays.

    Equal to any other sequence of the same texts; ``np.array`` converts it. Create it with
    :meth:`of`.
    """

    __slots__ = ("_bounds", "_codes", "_letters")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, letters: bytearray, bounds: np.ndarray, codes: np.ndarray | None = None
    ) -> None:
        self._letters, self._bounds, self._codes = letters, bounds, codes

    @classmethod
    def of(cls, values: Iterable[str]) -> Texts:
        """Return the texts of any iterable."""
        if isinstance(values, Texts):
            return values
        gathered, rest = TextGatherer(), iter(values)
        while block := list(islice(rest, BLOCK)):
            gathered.extend(block)
        return gathered.finish()

    @classmethod
    def repeat(cls, text: str, count: int) -> Texts:
        """Return one text ``count`` times."""
        return cls(*_join([text.encode(*_UTF8)]), np.zeros(count, dtype=np.uint8))

    def __len__(self) -> int:
        return self._unlike if self._codes is None else len(self._codes)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Texts: ...
    def __getitem__(self, row: int | slice) -> str | Texts:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        row, count = operator.index(row), len(self)
        if not -count <= row < count:
            raise IndexError(f"text {row} of {count}")
        place = row % count if self._codes is None else int(self._codes[row])
        return self._letters[self._bounds[place] : self._bounds[place + 1]].decode(*_UTF8)

    def __iter__(self) -> Iterator[str]:
        if self._codes is None:
            yield from self._spell()
            return
        table = list(self._spell())
        for start in range(0, len(self), BLOCK):
            yield from map(table.__getitem__, self._codes[start : start + BLOCK].tolist())

    def __contains__(self, text: object) -> bool:
        return self.count(text) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __repr__(self) -> str:
        more = ", ..." if len(self) > 4 else ""
        return f"Texts([{', '.join(map(repr, self[:4]))}{more}])"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = np.array(list(self._spell()), dtype=np.str_ if dtype is None else dtype)
        return values if self._codes is None else values[self._codes]

    def count(self, text: object) -> int:
        """Return the number of occurrences of a text."""
        return int(self.isin((text,)).sum())

    def isin(self, wanted: Container[object]) -> np.ndarray:
        """Return bool (N,): whether each text is in ``wanted``."""
        found = np.fromiter((text in wanted for text in self._spell()), bool, self._unlike)
        return found if self._codes is None else found[self._codes]

    def take(self, rows: np.ndarray) -> Texts:
        """Return the texts of some rows (integers from 0) in the given order."""
        if self._codes is None:
            return Texts(*_join(self._cut(rows)))
        codes = self._codes[rows]
        if len(codes) >= self._unlike:
            return Texts(self._letters, self._bounds, codes)
        # Keep only the texts in use.
        used, codes = np.unique(codes, return_inverse=True)
        return Texts(*_join(self._cut(used)), _shrink(codes))

    def change(self, function: Callable[[str], str]) -> Texts:
        """Apply a function to each text; called once for repeated texts."""
        changed = (function(text).encode(*_UTF8) for text in self._spell())
        return Texts(*_join(changed), self._codes)

    @property
    def _unlike(self) -> int:
        """Number of texts in the buffer; the codes may use only some of them."""
        return len(self._bounds) - 1

    def _spell(self) -> Iterator[str]:
        """Yield the texts of the buffer."""
        for start in range(0, self._unlike, BLOCK):
            bounds = self._bounds[start : start + BLOCK + 1].tolist()
            letters = self._letters[bounds[0] : bounds[-1]]
            if not letters.isascii():
                rows = np.arange(start, start + len(bounds) - 1)
                yield from [piece.decode(*_UTF8) for piece in self._cut(rows)]
                continue
            text, first = letters.decode(), bounds[0]
            yield from [text[start - first : end - first] for start, end in pairwise(bounds)]

    def _cut(self, rows: np.ndarray) -> Iterator[bytearray]:
        """Yield the bytes of some texts of the buffer."""
        letters = self._letters
        for first in range(0, len(rows), BLOCK):
            some = rows[first : first + BLOCK].astype(np.int64)
            bounds = zip(self._bounds[some].tolist(), self._bounds[some + 1].tolist(), strict=True)
            yield from [letters[start:end] for start, end in bounds]


class TextGatherer:
    """Build :class:`Texts` block by block; detects whether texts repeat."""

    def __init__(self) -> None:
        self._codes: dict[str, int] | None = {}
        self._coded: list[np.ndarray] = []
        self._letters = bytearray()
        self._lengths: list[np.ndarray] = []
        self._count = 0

    def extend(self, values: Sequence[str]) -> None:
        """Add texts."""
        if self._codes is None:
            self._append(values)
            return
        known = self._codes
        coded = (known.setdefault(value, len(known)) for value in values)
        self._coded.append(np.fromiter(coded, np.int32, len(values)))
        self._count += len(values)
        if 2 * len(known) > self._count:
            texts = list(known)
            for codes in self._coded:
                self._append([texts[code] for code in codes.tolist()])
            self._codes, self._coded = None, []

    def finish(self) -> Texts:
        """Return the added texts."""
        codes = None
        if self._codes is not None:
            self._append(list(self._codes))
            codes = _shrink(np.concatenate([np.zeros(0, np.int32), *self._coded]))
        return Texts(self._letters, _bound(self._lengths), codes)

    def _append(self, values: Sequence[str]) -> None:
        text = "".join(values)
        pieces = values if text.isascii() else [value.encode(*_UTF8) for value in values]
        self._letters += text.encode(*_UTF8)
        self._lengths.append(np.fromiter(map(len, pieces), np.int32, len(pieces)))


class Lookup:
    """Find the row of a text (the last of equal ones), in 12 bytes per text.

    Args:
        texts: the texts; a reference is kept.
        hashes: their :func:`hash_texts`, if known.
    """

    def __init__(self, texts: Sequence[str], hashes: np.ndarray | None = None) -> None:
        if hashes is None:
            hashes = hash_texts(texts)
        order = np.argsort(hashes, kind="stable")
        self._texts, self._hashes, self._order = texts, hashes[order], _shrink(order)

    def __reduce__(self) -> tuple[type[Lookup], tuple[Sequence[str]]]:
        return Lookup, (self._texts,)  # hashes differ between processes

    def find(self, text: object) -> int | None:
        """Return the row of a text, or None."""
        if not isinstance(text, str):
            return None
        wanted = hash(text)
        place = int(self._hashes.searchsorted(wanted, side="right")) - 1
        while place >= 0 and self._hashes[place] == wanted:
            row = int(self._order[place])
            if self._texts[row] == text:
                return row
            place -= 1
        return None

    def find_repeated(self) -> tuple[int, int] | None:
        """Return (first row, row) of the first text that occurs again, None if all are unique."""
        same = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        seen: dict[str, int] = {}
        for row in np.unique(self._order[np.concatenate([same, same + 1])]).tolist():
            first = seen.setdefault(self._texts[row], row)
            if first != row:
                return first, row
        return None


def hash_texts(texts: Sequence[str]) -> np.ndarray:
    """Return int64 (N,), equal for equal texts, in this process and those forked from it."""
    return np.fromiter(map(hash, texts), np.int64, len(texts))


_UTF8 = ("utf-8", "surrogatepass")  # file names may not be valid UTF-8


def _join(pieces: Iterable[bytes | bytearray]) -> tuple[bytearray, np.ndarray]:
    """Return the buffer of some texts and its N + 1 bounds."""
    letters, lengths, rest = bytearray(), [], iter(pieces)
    while block := list(islice(rest, BLOCK)):
        letters += b"".join(block)
        lengths.append(np.fromiter(map(len, block), np.int32, len(block)))
    return letters, _bound(lengths)


def _bound(lengths: Iterable[np.ndarray]) -> np.ndarray:
    return _shrink(np.cumsum(np.concatenate([np.zeros(1, np.int32), *lengths]), dtype=np.int64))


def _shrink(codes: np.ndarray) -> np.ndarray:
    """Return non-negative integers in the smallest dtype that fits."""
    return codes.astype(np.min_scalar_type(int(codes.max(initial=0))))
