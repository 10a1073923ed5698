"""Which files ``focus look`` reads, and where their results go."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from focus.data.corpora.reading import natural
from focus.data.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from focus.data.listing import walk_files
from focus.errors import InputError

OURS = ".focus"
"""Ending of the stem of every file that ``focus look`` writes."""


class Input(NamedTuple):
    """A photograph or clip, and the file of its result."""

    path: Path
    out: Path
    is_clip: bool


def find_inputs(paths: Sequence[Path], out: Path | None) -> list[Input]:
    """Return the files to examine; in folders, all images and videos but our own results.

    Args:
        paths: files and folders.
        out: folder for the results; None: beside each input.

    Raises:
        InputError: a missing path, a file of another type, or a folder without images and videos.
    """
    files: dict[Path, None] = {}
    for given in paths:
        path = given.expanduser()
        if path.is_dir():
            files |= dict.fromkeys(_list_folder(path))
        elif not path.exists():
            raise InputError(f"{given}: no such file or folder")
        elif not path.name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)):
            raise InputError(f"{given}: not an image or video ({' '.join(IMAGE_SUFFIXES)} ...)")
        else:
            files[path] = None
    return _plan(list(files), out.expanduser() if out else None)


def _list_folder(folder: Path) -> list[Path]:
    names = sorted(walk_files(folder), key=natural)
    known = [name for name in names if name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))]
    found = [folder / name for name in known if not Path(name).stem.endswith(OURS)]
    if not found:
        content = "no image or video" if names else "no file"
        raise InputError(f"{folder}: contains {content} (images: {' '.join(IMAGE_SUFFIXES)})")
    return found


def _plan(files: Sequence[Path], folder: Path | None) -> list[Input]:
    """Name each result; files whose results would share a name keep their suffix, or a number."""
    if folder is not None and folder.is_file():
        raise InputError(f"--out {folder}: is a file; give a folder")
    planned: list[Input] = []
    taken = {path.resolve() for path in files}  # an input is never overwritten
    for path in files:
        is_clip = path.name.lower().endswith(VIDEO_SUFFIXES)
        suffix = f"{OURS}.mp4" if is_clip else f"{OURS}.png"
        home = folder or path.parent
        names = chain([path.stem, path.name], (f"{path.name}-{at}" for at in count(2)))
        out = next(
            home / f"{name}{suffix}"
            for name in names
            if (home / f"{name}{suffix}").resolve() not in taken
        )
        taken.add(out.resolve())
        planned.append(Input(path, out, is_clip))
    return planned


def page_path(inputs: Sequence[Input], out: Path | None, paths: Sequence[Path]) -> Path:
    """Return the page's file: NAME.focus.html of a single input, else look.focus.html.

    It is in ``out``, else in the folder that was given, else beside the first input.
    """
    if len(inputs) == 1:
        return inputs[0].out.with_suffix(".html")
    first = paths[0].expanduser()
    folder = out.expanduser() if out else first if first.is_dir() else first.parent
    return folder / f"look{OURS}.html"
