"""Predictions of outside systems on disk: maps as PNG or NPY, scores as CSV or JSON."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.interchange.names import is_hostile
from focus.cells import unguard
from focus.data.images import decode_pixels, read_bytes
from focus.errors import InputError, UnreadableError

PREDICTION_SUFFIXES = (".png", ".npy")


def list_predictions(folder: Path) -> list[str]:
    """Return the PNG and NPY files below a folder, POSIX and relative, sorted; none hidden.

    Raises:
        InputError: no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of predictions")
    found = []
    for current, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = (name for name in files if not name.startswith("."))
        below = Path(current).relative_to(folder)
        found += [(below / name).as_posix() for name in shown if name.endswith(PREDICTION_SUFFIXES)]
    if not found:
        raise InputError(f"{folder}: holds no prediction ({' or '.join(PREDICTION_SUFFIXES)})")
    return sorted(found)


def read_prediction(path: Path) -> np.ndarray:
    """Read a map.

    Args:
        path: a PNG, grey, of 8 or 16 bits, whose white is 1; or an NPY of shape (h, w) or
            (1, h, w): float in [0, 1], uint8 levels or bool. 1 = manipulated.

    Returns:
        float32 (h, w) in [0, 1].

    Raises:
        UnreadableError: missing, damaged, a picture in colours, a shape or a value that is none.
    """
    values = _read_png(path) if path.suffix == ".png" else _read_npy(path)
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype == np.uint16:
        values = values / np.float64(65535)
    # False for NaN as well.
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise UnreadableError("NaN or a value outside [0, 1]")
    return values.astype(np.float32)


def read_names(path: Path) -> dict[str, str]:
    """Return name -> key of an export's ``names.csv``; empty where there is none.

    Raises:
        InputError: not such a table, or a name that leads out of the folder.
    """
    if not path.is_file():
        return {}
    names = {}
    for line, name, key in _read_pairs(path, ("name", "key")):
        if is_hostile(name) or name in names:
            why = "stands twice" if name in names else "leads out of the folder"
            raise InputError(f"{path}: line {line}: name {name!r} {why}")
        names[name] = key
    return names


def read_scores(path: Path) -> dict[str, float]:
    """Read P(fake) of faces: a CSV of ``key,score``, or a JSON object {name: probability}.

    Raises:
        InputError: the file cannot be read, is of another shape, or holds a name twice or a score
            outside [0, 1].
    """
    scores: dict[str, float] = {}
    for where, name, value in _read_table(path):
        if name in scores:
            raise InputError(f"{path}: {where}: {name!r} stands twice")
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not 0 <= score <= 1:
            raise InputError(f"{path}: {where}: score {value!r} of {name!r} is not in [0, 1]")
        scores[name] = score
    return scores


def _read_table(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield where it stands, a name and its value."""
    if path.suffix.lower() == ".json":
        try:
            pairs = json.loads(path.read_bytes(), object_pairs_hook=list)
        except OSError as error:
            raise InputError(f"{path}: cannot read the scores ({error.strerror})") from None
        except (ValueError, RecursionError):
            raise InputError(f"{path}: not JSON") from None
        if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
            raise InputError(f"{path}: must be a JSON object {{name: probability}}")
        yield from ((f"entry {at}", name, value) for at, (name, value) in enumerate(pairs, 1))
    else:
        for line, name, value in _read_pairs(path, ("key", "score")):
            yield f"line {line}", name, value


def _read_pairs(path: Path, header: tuple[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield line number and the two named columns of a CSV; further columns are passed over."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for name in header:
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: line 1 names no column '{name}'")
            for row in reader:
                first, second = (unguard(row[name] or "") for name in header)
                yield reader.line_num, first, second
    except OSError as error:
        raise InputError(f"{path}: cannot read the table ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV file of UTF-8 text") from None


def _read_png(path: Path) -> np.ndarray:
    pixels = decode_pixels(read_bytes(path))
    if (pixels != pixels[..., :1]).any():
        raise UnreadableError("a picture in colours, not a map: save grey values, white = 1")
    return np.ascontiguousarray(pixels[..., 0])


def _read_npy(path: Path) -> np.ndarray:
    try:
        # Mapped, so that a header which promises more than the file holds takes no memory.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy reads the header as Python text, and fails in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableError(f"no NPY file of numbers ({reason})") from None
    if not isinstance(values, np.ndarray):
        values.close()
        raise UnreadableError("several arrays (NPZ): save one as NPY")
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or 0 in values.shape:
        raise UnreadableError(f"an array of shape {values.shape}, not (height, width)")
    if values.dtype.kind != "f" and values.dtype not in (np.uint8, np.bool_):
        raise UnreadableError(f"an array of {values.dtype}: save float in [0, 1], uint8 or bool")
    return np.array(values)
