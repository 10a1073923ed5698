"""Read predictions of other systems: maps as PNG or NPY, scores as CSV or JSON."""

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
    """Return the PNG and NPY files below a folder: relative POSIX paths, sorted, not hidden.

    Raises:
        InputError: the folder is missing or contains no such file.
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
        raise InputError(f"{folder}: contains no predictions ({' or '.join(PREDICTION_SUFFIXES)})")
    return sorted(found)


def read_prediction(path: Path) -> np.ndarray:
    """Read a map.

    Args:
        path: a grey PNG of 8 or 16 bits, white = 1; or an NPY of shape (h, w) or (1, h, w):
            float in [0, 1], uint8 levels or bool. 1 = manipulated.

    Returns:
        float32 (h, w) in [0, 1].

    Raises:
        UnreadableError: missing or damaged file, colour image, invalid shape or value.
    """
    values = _read_png(path) if path.suffix == ".png" else _read_npy(path)
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype == np.uint16:
        values = values / np.float64(65535)
    # False for NaN too.
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise UnreadableError("NaN or a value outside [0, 1]")
    return values.astype(np.float32)


def read_names(path: Path) -> dict[str, str]:
    """Return name -> key of an export's ``names.csv``; empty if the file is missing.

    Raises:
        InputError: invalid table, or a name that is not a path below the folder.
    """
    if not path.is_file():
        return {}
    names = {}
    for line, name, key in _read_pairs(path, ("name", "key")):
        if is_hostile(name) or name in names:
            why = "occurs twice" if name in names else "is not a path below the folder"
            raise InputError(f"{path}: line {line}: name {name!r} {why}")
        names[name] = key
    return names


def read_scores(path: Path) -> dict[str, float]:
    """Read P(fake) of faces: a CSV of ``key,score``, or a JSON object {name: probability}.

    Raises:
        InputError: the file cannot be read or has the wrong format, a name occurs twice, or a score
            is outside [0, 1].
    """
    scores: dict[str, float] = {}
    for where, name, value in _read_table(path):
        if name in scores:
            raise InputError(f"{path}: {where}: {name!r} occurs twice")
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not 0 <= score <= 1:
            raise InputError(f"{path}: {where}: score {value!r} of {name!r} is not in [0, 1]")
        scores[name] = score
    return scores


def _read_table(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield location, name and value of each entry."""
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
    """Yield a row's first line and the two named columns of a CSV; ignore other columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for name in header:
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: line 1 has no column '{name}'")
            for row in reader:
                first, second = (unguard(row[name] or "") for name in header)
                cells = (cell for part in row.values() for cell in _texts(part))
                yield reader.line_num - sum(cell.count("\n") for cell in cells), first, second
    except OSError as error:
        raise InputError(f"{path}: cannot read the table ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV file in UTF-8") from None


def _texts(part: str | list[str] | None) -> list[str]:
    """Return the cells of a column; :class:`csv.DictReader` lists those without a header."""
    return part if isinstance(part, list) else [part or ""]


def _read_png(path: Path) -> np.ndarray:
    pixels = decode_pixels(read_bytes(path))
    if (pixels != pixels[..., :1]).any():
        raise UnreadableError("a colour image, not a map: save grey values, white = 1")
    return np.ascontiguousarray(pixels[..., 0])


def _read_npy(path: Path) -> np.ndarray:
    try:
        # Memory-mapped, so that a header with a false shape allocates nothing.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python; errors vary
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableError(f"not an NPY file of numbers ({reason})") from None
    if not isinstance(values, np.ndarray):
        values.close()
        raise UnreadableError("NPZ with several arrays: save one as NPY")
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or 0 in values.shape:
        raise UnreadableError(f"an array of shape {values.shape}, not (height, width)")
    if values.dtype.kind != "f" and values.dtype not in (np.uint8, np.bool_):
        raise UnreadableError(f"an array of {values.dtype}: save float in [0, 1], uint8 or bool")
    return np.array(values)
