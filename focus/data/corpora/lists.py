"""Lists of images in MoNFAP's format, one per line, and plain lines for other lists.

A line is ``<path> <0|1>``: 1 means fake. The mask of a fake is the same path with ``Mask`` in place
of the folder ``Image`` and the suffix ``.png``. A path is relative to the folder of its list, or to
the parent of that folder if it starts with the folder's name. The folder that identifies the video
is not published: the folder of the frame is used if it is at least two levels below ``Image`` and
is not a group such as ``train`` or ``source``; else each image is its own video (unverified).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from focus.data.corpora.reading import list_names, read_text
from focus.data.index import Face
from focus.errors import InputError
from focus.types import FAKE, REAL

_LABELS = {"0": REAL, "1": FAKE}
_SPLITS = {"train.txt": "train", "valid.txt": "val", "val.txt": "val", "test.txt": "test"}
_GROUPS = {"train", "valid", "val", "test", "source", "target", "real", "fake"}


class ImageList(NamedTuple):
    """A list of a corpus, and the values shared by all its images."""

    path: str
    """Path relative to the root."""
    split: str
    method: str = ""
    """Method of its fakes."""
    extra: Mapping[str, str] = {}


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line that is not blank.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    lines = enumerate(read_text(path).splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def remember(seen: dict[str, str], name: str, where: str) -> None:
    """Record the place of a name, such as ``train.txt: line 3``.

    Raises:
        InputError: the name has a place already, perhaps in another split.
    """
    if name in seen:
        raise InputError(f"{where} repeats {name}, first in {seen[name]}")
    seen[name] = where


def localise(base: str, path: str) -> str:
    """Return a listed path with slashes, relative to ``base`` (absolute) if it is below it."""
    return posixpath.normpath(path.replace("\\", "/")).removeprefix(f"{base}/")


def find_lists(root: Path, folder: str, method: str = "") -> list[ImageList]:
    """Return those of ``train.txt``, ``valid.txt`` and ``test.txt`` that a folder has."""
    names = [name for name in list_names(root / folder, (".txt",)) if name in _SPLITS]
    return [ImageList(posixpath.join(folder, name), _SPLITS[name], method) for name in names]


def read_images(root: Path, lists: Iterable[ImageList]) -> Iterator[Face]:
    """Yield a row for every line of the lists, even if the image is missing.

    Raises:
        InputError: an invalid line, a fake whose path has no folder ``Image``, or an image listed
            twice; gives file and line.
    """
    base, seen = root.absolute().as_posix(), dict[str, str]()
    for entry in lists:
        file, folder = root / entry.path, posixpath.dirname(entry.path)
        own = posixpath.basename(posixpath.join(base, folder).rstrip("/"))
        for number, line in read_lines(file):
            where = f"{file}: line {number}"
            listed, label = _split_line(line, where)
            path = posixpath.join(folder, localise(base, listed).removeprefix(f"{own}/"))
            remember(seen, path, where)
            method, mask = "", ""
            if label == FAKE:
                method, mask = entry.method, _find_mask(path, where)
            video = _name_video(path)
            yield Face(path, label, entry.split, method, video, mask, extra=entry.extra)


def _split_line(line: str, where: str) -> tuple[str, int]:
    path, *rest = line.rsplit(maxsplit=1)
    if len(rest) != 1 or rest[0] not in _LABELS:
        raise InputError(f"{where} must be a path and a label, 0 (real) or 1 (fake): {line!r}")
    return path, _LABELS[rest[0]]


def _find_mask(path: str, where: str) -> str:
    parts = path.split("/")
    if "Image" not in parts[:-1]:
        raise InputError(f"{where}: no folder Image in {path}, so its mask is unknown")
    parts[parts.index("Image")] = "Mask"
    return posixpath.splitext("/".join(parts))[0] + ".png"


def _name_video(path: str) -> str:
    parts = path.split("/")[:-1]
    below = parts[parts.index("Image") + 1 :] if "Image" in parts else []
    return "/".join(parts) if len(below) > 1 and below[-1].lower() not in _GROUPS else ""
