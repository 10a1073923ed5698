"""Group the rows of an index into clips, and name the crops of each."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from focus.data.images import VIDEO_SUFFIXES, split_path
from focus.data.index import Face, FaceIndex
from focus.errors import InputError

PHOTOGRAPHS_TOGETHER = 32


@dataclass(frozen=True)
class Clip:
    """A video with its rows, or one photograph; faces are tracked within a clip.

    Attributes:
        path: the file, or archive member, relative to the root of the index.
        name: path of its crops below ``crops/``: a folder for a video, else the prefix of a name.
        rows: one row, or one for each frame in the index.
        whole: choose frames, whichever frames the rows name.
    """

    path: str
    name: str
    rows: tuple[Face, ...]
    whole: bool

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return self.path.lower().endswith(VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Task:
    """Clips that one process finishes together: a video, or some photographs."""

    clips: tuple[Clip, ...]

    def digest(self, root: Path) -> str:
        """Return a digest that changes with any row and with the size of any file."""
        files = {
            split_path(path).file
            for clip in self.clips
            for row in clip.rows
            for path in (row.path, row.mask, row.original, row.region)
            if path
        }
        state = [asdict(self), sorted((file, _size(root / file)) for file in files)]
        return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:20]


def plan(index: FaceIndex, whole: bool) -> list[Task]:
    """Return the tasks, in the order of the files in the index.

    Args:
        index: rows of videos, video frames, photographs or archive members.
        whole: frames in the rows represent the whole video (listed files, not the user's choice).

    Raises:
        InputError: rows that name single faces, or two files with the same crop names.
    """
    rows: dict[str, list[Face]] = {}
    for row in index:
        where = split_path(row.path)
        if where.face is not None:
            raise InputError(
                f"{row.path}: the row names a face, so its box is known; prepare detects faces "
                "itself: index the images without --crop faces"
            )
        path = f"{where.file}!/{where.member}" if where.member else where.file
        rows.setdefault(path, []).append(row)
    clips = []
    for path, name in zip(rows, name_crops(list(rows)), strict=True):
        chosen = not whole and all(split_path(row.path).frame is not None for row in rows[path])
        if len(rows[path]) > 1 and not chosen:
            raise InputError(f"{path}: a row names the whole file, so no other row may name it")
        clips.append(Clip(path, name, tuple(rows[path]), not chosen))
    return list(_gather(clips))


def name_crops(paths: Sequence[str]) -> list[str]:
    """Return the crop name of each file: its path without suffix, unless that is ambiguous.

    The names stay below their folder, and are unique on case-insensitive file systems too.

    Raises:
        InputError: two paths that would have the same name.
    """
    safe = _make_safe(paths)
    stems = [str(PurePosixPath(path).with_suffix("")) for path in safe]
    count = Counter(stem.casefold() for stem in stems)
    is_video = [path.lower().endswith(VIDEO_SUFFIXES) for path in paths]
    folders = {stem.casefold() for stem, video in zip(stems, is_video, strict=True) if video}
    names = [
        # A photograph a/7.png beside a video a.mp4 would share a/7.0.jpg with frame 7.
        path if count[stem.casefold()] > 1 or _parent(stem).casefold() in folders else stem
        for path, stem in zip(safe, stems, strict=True)
    ]
    seen: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        other = seen.setdefault(name.casefold(), path)
        if other != path:
            raise InputError(f"{other} and {path}: their crops would share a name; rename one")
    return names


def _gather(clips: Sequence[Clip]) -> Iterator[Task]:
    """Yield each video alone, and photographs in groups to limit the number of record files."""
    together: list[Clip] = []
    for clip in clips:
        if clip.is_video:
            yield Task((clip,))
            continue
        together.append(clip)
        if len(together) == PHOTOGRAPHS_TOGETHER:
            yield Task(tuple(together))
            together = []
    if together:
        yield Task(tuple(together))


def _make_safe(paths: Sequence[str]) -> list[str]:
    """Remove from paths parts that lead up or out, and archive markers.

    If files are outside the root, their common parent folders only depend on this machine, so they
    are removed too.
    """
    split = [path.replace("!/", "/").replace("\\", "/").split("/") for path in paths]
    parts = [[part for part in each if part not in ("", ".", "..")] for each in split]
    if any(each[0] in ("", "..") for each in split):
        while all(len(each) > 1 for each in parts) and len({each[0] for each in parts}) == 1:
            parts = [each[1:] for each in parts]
    return ["/".join(each) for each in parts]


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
