"""Rows of a map file, and its attributes: the origin of the maps."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from focus.errors import InputError, count_of
from focus.files import relative_path

PLACES, RELATIVE = ("data", "root"), "relative"
"""Attributes that may be paths, and the attribute with their paths relative to the map file."""
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
"""Attributes that must be equal to resume a run or to merge shards (there, all but ``shard``)."""

TOP = 255 * 256
LONGEST_KEY = 4096
_LEAST = -126  # exponent of the smallest normal float32
_PACKAGES = ("focus-forgery", "torch", "timm", "numpy", "h5py")


@dataclass(frozen=True)
class Rows:
    """Some faces of a map file, in file order."""

    keys: Sequence[str]
    levels: np.ndarray
    """uint16 (n, h, w), at most :data:`TOP`: a map is ``levels / TOP * scale``."""
    scales: np.ndarray
    """float32 (n,): powers of two, each the least that reaches the map's highest value."""
    labels: np.ndarray
    """int8 (n,): 0 real, 1 fake, -1 unknown."""
    scores: np.ndarray
    """float32 (n,): P(fake), NaN if missing."""
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """name -> (n, ...): tensors behind the maps."""

    def __len__(self) -> int:
        return len(self.keys)

    def cut(self, start: int, stop: int | None = None) -> Rows:
        """Return the faces from ``start`` up to, not including, ``stop``."""
        here = slice(start, stop)
        parts = {name: values[here] for name, values in self.parts.items()}
        return Rows(
            self.keys[here],
            self.levels[here],
            self.scales[here],
            self.labels[here],
            self.scores[here],
            parts,
        )

    @property
    def maps(self) -> np.ndarray:
        """The maps, float32 (n, h, w) in [0, 1]."""
        return decode(self.levels, self.scales)


def encode(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return levels, uint16 (n, h, w), and scales, float32 (n,), of maps in [0, 1].

    Scaling by the map's own maximum keeps the ranking of its values even if it was multiplied by a
    small score. Powers of two, and a TOP divisible by 255, store 8-bit maps without loss.

    Args:
        maps: float (n, h, w).
    """
    # In float64 even the smallest float32 has an exponent.
    peaks = maps.max(axis=(1, 2), initial=0).astype(np.float64)
    mantissas, exponents = np.frexp(peaks)
    exponents = np.maximum(exponents - (mantissas == 0.5), _LEAST)
    scales = np.where(peaks > 0, np.ldexp(1.0, exponents), 1.0).astype(np.float32)
    levels = maps.astype(np.float32) / scales[:, None, None]
    levels *= np.float32(TOP)
    return np.rint(levels, out=levels).astype(np.uint16), scales


def decode(levels: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return maps, float32 (..., h, w), from levels (..., h, w) and scales (...)."""
    maps = levels.astype(np.float32) / np.float32(TOP)
    maps *= np.asarray(scales, dtype=np.float32)[..., None, None]
    return maps


def longest_key(keys: Sequence[str]) -> int:
    """Return the length of the longest key in bytes of UTF-8, 0 without keys.

    Raises:
        InputError: a key that cannot be stored: longer than 4096 bytes, with a NUL, or not
            encodable as UTF-8.
    """
    longest = 0
    for key in keys:
        try:
            size = len(key.encode())
        except (UnicodeEncodeError, AttributeError):
            raise InputError(
                f"key {key!r} cannot be stored: not valid UTF-8 text; rename it"
            ) from None
        if size > LONGEST_KEY or "\0" in key:
            why = f"longer than {LONGEST_KEY} bytes, or contains a NUL"
            raise InputError(f"key {key[:80]!r} cannot be stored: {why}; rename it")
        longest = max(longest, size)
    return longest


NO_ROWS = Rows(
    (),
    np.zeros((0, 1, 1), np.uint16),
    np.zeros(0, np.float32),
    np.zeros(0, np.int8),
    np.zeros(0, np.float32),
)


def join(pieces: Sequence[Rows]) -> Rows:
    """Concatenate pieces.

    Raises:
        InputError: their maps differ in size, or they contain different tensors.
    """
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return NO_ROWS
    for piece in pieces[1:]:
        check_alike(pieces[0], piece)
    return Rows(
        [key for piece in pieces for key in piece.keys],
        np.concatenate([piece.levels for piece in pieces]),
        np.concatenate([piece.scales for piece in pieces]),
        np.concatenate([piece.labels for piece in pieces]),
        np.concatenate([piece.scores for piece in pieces]),
        {name: np.concatenate([piece.parts[name] for piece in pieces]) for name in pieces[0].parts},
    )


def check_alike(first: Rows, other: Rows) -> None:
    """Raise InputError unless both have the same map size and parts."""
    mine, theirs = first.levels.shape[1:], other.levels.shape[1:]
    if mine != theirs:
        sizes = f"{mine[0]}x{mine[1]} and {theirs[0]}x{theirs[1]}"
        raise InputError(f"maps of {sizes} cannot be in one file (face {other.keys[0]!r})")
    for name in {*first.parts, *other.parts}:
        shapes = [rows.parts[name].shape[1:] for rows in (first, other) if name in rows.parts]
        if len(shapes) < 2 or shapes[0] != shapes[1]:
            raise InputError(f"part '{name}' differs between faces (face {other.keys[0]!r})")


def check_rows(
    keys: Sequence[str], maps: Any, labels: Any, scores: Any, parts: Mapping[str, Any]
) -> Rows:
    """Check rows and convert them to the types of the file.

    Args:
        keys: one per face.
        maps: (n, h, w) or (n, 1, h, w): float in [0, 1], uint8 levels or bool.
        labels: (n,) of 0, 1, -1; None: unknown.
        scores: (n,); None: no score.
        parts: name -> (n, ...).

    Raises:
        InputError: lengths that differ, an invalid label, or invalid maps.
    """
    keys = list(keys)
    count = len(keys)
    levels, scales = encode(_check_maps(np.asarray(maps), keys))
    rows = Rows(
        keys,
        levels,
        scales,
        np.asarray(np.full(count, -1) if labels is None else labels),
        np.asarray(np.full(count, np.nan) if scores is None else scores, dtype=np.float32),
        {name: np.asarray(values) for name, values in parts.items()},
    )
    named = {"maps": rows.levels, "labels": rows.labels, "scores": rows.scores, **rows.parts}
    for name, values in named.items():
        if values.shape[:1] != (count,):
            raise InputError(f"{name}: shape {values.shape} for {count_of(count, 'key')}")
    if not np.isin(rows.labels, (0, 1, -1)).all():
        raise InputError("labels: must be 0 (real), 1 (fake) or -1 (unknown)")
    return replace(rows, labels=rows.labels.astype(np.int8))


def complete_attributes(given: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return all attributes of a file: the given ones, defaults, versions and the time.

    Absolute data paths are also recorded relative to the map file's folder, so that the data are
    found after both were moved together.

    Raises:
        InputError: an unknown attribute.
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
    text |= relate(text, folder)
    return {**text, "versions": json.dumps(_versions()), "created": now()}


def relate(attributes: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return an attribute with absolute data paths made relative to a map file's folder."""
    relative = {
        name: relative_path(attributes[name], folder)
        for name in PLACES
        if os.path.isabs(str(attributes[name]))
    }
    return {RELATIVE: json.dumps(relative)} if relative else {}


def now() -> str:
    """Return the time for the attribute ``created``: ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _versions() -> dict[str, str]:
    installed = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def _check_maps(maps: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """Return maps as float (n, h, w) in [0, 1]."""
    if maps.ndim == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim != 3:
        raise InputError(f"maps: shape {maps.shape}, not (n, h, w) or (n, 1, h, w)")
    if maps.dtype == np.uint8:
        return maps.astype(np.float32) / np.float32(255)
    if maps.dtype == np.bool_:
        return maps.astype(np.float32)
    if maps.dtype.kind != "f":
        raise InputError(f"maps: {maps.dtype}; give float in [0, 1], uint8 or bool")
    good = ((maps >= 0) & (maps <= 1)).all(axis=(1, 2))  # False for NaN
    if not good.all():
        first = keys[int(np.argmin(good))]
        raise InputError(f"maps: NaN or a value outside [0, 1] in the map of face {first!r}")
    return maps
