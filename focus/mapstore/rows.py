"""Faces on their way into or out of a map file, and what the file says of where they come from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from focus.errors import InputError

PROVENANCE = {
    "generator": "",
    "config": "{}",
    "weights_sha256": "",
    "data": "",
    "root": "",
    "source": "{}",
    "index_fingerprint": "",
    "real_maps": "fake-class",
    "normalisation": "none",
}
IDENTITY = (
    "generator",
    "config",
    "weights_sha256",
    "index_fingerprint",
    "real_maps",
    "normalisation",
    "shard",
)
"""The attributes that must agree for two runs to be one."""

_PACKAGES = ("focus-forgery", "torch", "timm", "numpy", "h5py")


@dataclass(frozen=True)
class Rows:
    """Some faces of a map file, in their order."""

    keys: Sequence[str]
    levels: np.ndarray
    """uint8 (n, h, w): round(255 * map), 255 = manipulated."""
    labels: np.ndarray
    """int8 (n,): 0 real, 1 fake, -1 unknown."""
    scores: np.ndarray
    """float32 (n,): P(fake), NaN where there is none."""
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """name -> (n, ...): tensors behind the maps."""

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, start: int, stop: int | None = None) -> Rows:
        """Return the faces from ``start`` up to ``stop``."""
        here = slice(start, stop)
        parts = {name: values[here] for name, values in self.parts.items()}
        return Rows(self.keys[here], self.levels[here], self.labels[here], self.scores[here], parts)


NO_ROWS = Rows((), np.zeros((0, 1, 1), np.uint8), np.zeros(0, np.int8), np.zeros(0, np.float32))


def join(pieces: Sequence[Rows]) -> Rows:
    """Put pieces behind each other.

    Raises:
        InputError: their maps are of different sizes, or they keep different tensors.
    """
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return NO_ROWS
    for piece in pieces[1:]:
        check_alike(pieces[0], piece)
    return Rows(
        [key for piece in pieces for key in piece.keys],
        np.concatenate([piece.levels for piece in pieces]),
        np.concatenate([piece.labels for piece in pieces]),
        np.concatenate([piece.scores for piece in pieces]),
        {name: np.concatenate([piece.parts[name] for piece in pieces]) for name in pieces[0].parts},
    )


def check_alike(first: Rows, other: Rows) -> None:
    """Raise InputError unless both fit into one file."""
    mine, theirs = first.levels.shape[1:], other.levels.shape[1:]
    if mine != theirs:
        sizes = f"{mine[0]}x{mine[1]} and {theirs[0]}x{theirs[1]}"
        raise InputError(f"maps of {sizes} cannot stand in one file (face {other.keys[0]!r})")
    for name in {*first.parts, *other.parts}:
        shapes = [rows.parts[name].shape[1:] for rows in (first, other) if name in rows.parts]
        if len(shapes) < 2 or shapes[0] != shapes[1]:
            raise InputError(f"part '{name}' differs between faces (face {other.keys[0]!r})")


def check_rows(
    keys: Sequence[str], maps: Any, labels: Any, scores: Any, parts: Mapping[str, Any]
) -> Rows:
    """Bring what a caller gave into the types of the file.

    Args:
        keys: one per face.
        maps: (n, h, w) or (n, 1, h, w): float in [0, 1], uint8 levels or bool.
        labels: (n,) of 0, 1, -1; None: unknown.
        scores: (n,); None: no score.
        parts: name -> (n, ...).

    Raises:
        InputError: lengths that differ, a label that is none, or maps that are none.
    """
    keys = list(keys)
    count = len(keys)
    rows = Rows(
        keys,
        _to_levels(np.asarray(maps), keys),
        np.asarray(np.full(count, -1) if labels is None else labels),
        np.asarray(np.full(count, np.nan) if scores is None else scores, dtype=np.float32),
        {name: np.asarray(values) for name, values in parts.items()},
    )
    named = {"maps": rows.levels, "labels": rows.labels, "scores": rows.scores, **rows.parts}
    for name, values in named.items():
        if values.shape[:1] != (count,):
            raise InputError(f"{name}: shape {values.shape} for {count} keys")
    if not np.isin(rows.labels, (0, 1, -1)).all():
        raise InputError("labels: only 0 (real), 1 (fake) and -1 (unknown) are labels")
    return Rows(keys, rows.levels, rows.labels.astype(np.int8), rows.scores, rows.parts)


def complete_attributes(given: Mapping[str, Any]) -> dict[str, str]:
    """Return every attribute of a file: those given, defaults, versions and the time.

    Raises:
        InputError: a name that no file has.
    """
    unknown = set(given) - {*PROVENANCE, "shard"}
    if unknown:
        known = ", ".join([*PROVENANCE, "shard"])
        raise InputError(f"no attribute {', '.join(sorted(unknown))} in a map file (has: {known})")
    text = {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in {**PROVENANCE, **given}.items()
    }
    if not text.get("shard"):
        text.pop("shard", None)
    return {**text, "versions": json.dumps(_versions()), "created": now()}


def now() -> str:
    """Return the time as the attribute ``created`` holds it: ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _versions() -> dict[str, str]:
    installed = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def _to_levels(maps: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    if maps.ndim == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim != 3:
        raise InputError(f"maps: shape {maps.shape}, not (n, h, w) or (n, 1, h, w)")
    if maps.dtype == np.uint8:
        return maps
    if maps.dtype == np.bool_:
        return maps.astype(np.uint8) * np.uint8(255)
    if maps.dtype.kind != "f":
        raise InputError(f"maps: {maps.dtype}; give float in [0, 1], uint8 or bool")
    good = ((maps >= 0) & (maps <= 1)).all(axis=(1, 2))  # False for NaN
    if not good.all():
        first = keys[int(np.argmin(good))]
        raise InputError(f"maps: NaN or a value outside [0, 1] in the map of face {first!r}")
    return np.rint(maps.astype(np.float32) * np.float32(255)).astype(np.uint8)
