"""Shared by the corpora: list folders, read their lists, and select methods."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from focus.data.corpus import ScanOptions
from focus.data.index import Face, FaceIndex
from focus.data.videos import VIDEO_SUFFIXES
from focus.errors import InputError
from focus.types import FAKE

LEVELS = {
    "": ("c23",),
    "raw": ("raw", "c0"),
    "c0": ("raw", "c0"),
    "c23": ("c23",),
    "c40": ("c40",),
}
"""Folder names of each compression level of FaceForensics++; default: c23."""


def natural(name: str) -> tuple[list[str | int], str]:
    """Return a natural sort key: ``frames/9.png`` before ``frames/10.png``."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def list_names(folder: Path, suffixes: tuple[str, ...] = (), folders: bool = False) -> list[str]:
    """Return the visible files of these suffixes, or the folders, directly in a folder.

    Names are in natural order; a missing folder gives an empty list.

    Raises:
        InputError: the folder cannot be listed, or contains a name that is not UTF-8.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and (entry.is_dir() if folders else entry.name.lower().endswith(suffixes))
            ]
        "".join(names).encode()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None
    except UnicodeEncodeError:
        raise InputError(f"{folder}: contains a name that is not UTF-8; rename it") from None
    return sorted(names, key=natural)


def list_videos(folder: Path) -> list[str]:
    """Return the names of the videos directly in a folder, see ``list_names``."""
    return list_names(folder, VIDEO_SUFFIXES)


def walk(folder: Path, suffixes: tuple[str, ...] = VIDEO_SUFFIXES) -> Iterator[str]:
    """Yield the files of these suffixes anywhere below a folder, relative to it."""
    yield from list_names(folder, suffixes)
    for name in list_names(folder, folders=True):
        yield from (f"{name}/{below}" for below in walk(folder / name, suffixes))


def strip_suffix(path: str) -> str:
    """Return a path without its suffix, as used in column ``video``."""
    return posixpath.splitext(path)[0]


def find_videos(folder: Path) -> Path:
    """Return the folder of the videos: ``videos/`` below it (DeepfakeBench), or itself."""
    below = folder / "videos"
    return below if below.is_dir() else folder


def read_text(path: Path) -> str:
    """Return the text of a file of a corpus.

    Raises:
        InputError: it is missing, not permitted, or not UTF-8.
    """
    try:
        # utf-8-sig: editors on Windows put a byte-order mark first.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text at byte {error.start}") from None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: as in ``read_text``, or not JSON; gives the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno} is not JSON ({error.msg})") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """Return a JSON object of objects: file name -> its record.

    Raises:
        InputError: as in ``read_json``, or another structure.
    """
    records = read_json(path)
    if not isinstance(records, dict):
        raise InputError(f"{path}: must be a JSON object of file name -> record")
    for name, record in records.items():
        if not isinstance(record, dict):
            raise InputError(f"{path}: the record of {name} is not a JSON object")
    return records


def build_index(faces: Iterable[Face], root: Path, options: ScanOptions) -> FaceIndex:
    """Return the index of a corpus without compression levels, limited to the chosen methods.

    Raises:
        InputError: a compression was given, or a method that no fake of the corpus has.
    """
    if options.compression:
        raise InputError(f"compression {options.compression}: {root} has no compression levels")
    return choose_methods(FaceIndex.of(faces, root), options.methods)


def choose_methods(index: FaceIndex, methods: tuple[str, ...]) -> FaceIndex:
    """Return the real faces, and the fakes of the given methods (any case; none given: all).

    Raises:
        InputError: a method that no fake of the index has.
    """
    if not methods:
        return index
    fakes = index.where(label=FAKE).column("method")
    known = {name.casefold(): name for name in sorted(set(fakes)) if name}
    for method in methods:
        if method.casefold() not in known:
            there = ", ".join(known.values()) or "none"
            raise InputError(f"method {method}: not in {index.root} (available: {there})")
    return index.where(methods=[known[method.casefold()] for method in methods])
