"""What is cut out of an index: its rows as clips, each with a place for its crops."""

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
    """What is followed together: a video with the rows of it, or one photograph.

    Attributes:
        path: the file, or archive member, relative to the root of the index.
        name: where its crops go below ``crops/``: a folder for a video, else the start of a name.
        rows: one row, or one for each frame that the index names.
        whole: frames are to be chosen, whatever frame the rows name.
    """

    path: str
    name: str
    rows: tuple[Face, ...]
    whole: bool

    @property
    def is_video(self) -> bool:
        """Whether it has frames."""
        return self.path.lower().endswith(VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Task:
    """What one process does at a time, finished as a whole: a video, or some photographs."""

    clips: tuple[Clip, ...]

    def digest(self, root: Path) -> str:
        """Return a name for the task: another when a row, or the size of a file, is another."""
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
    """Return the work, in the order in which the index names the files.

    Args:
        index: rows of videos, of frames of them, of photographs or of archive members.
        whole: frames that rows name stand for the whole video (a listing, not a choice).

    Raises:
        InputError: rows that name single faces, or two files whose crops would meet.
    """
    rows: dict[str, list[Face]] = {}
    for row in index:
        where = split_path(row.path)
        if where.face is not None:
            raise InputError(
                f"{row.path}: the row names a face, so its box is known; prepare looks for faces "
                "itself: index the images without --crop faces"
            )
        path = f"{where.file}!/{where.member}" if where.member else where.file
        rows.setdefault(path, []).append(row)
    clips = []
    for path, name in zip(rows, name_crops(list(rows)), strict=True):
        chosen = not whole and all(split_path(row.path).frame is not None for row in rows[path])
        if len(rows[path]) > 1 and not chosen:
            raise InputError(f"{path}: a row names it whole, so another row must not name it too")
        clips.append(Clip(path, name, tuple(rows[path]), not chosen))
    return list(_gather(clips))


def name_crops(paths: Sequence[str]) -> list[str]:
    """Return where the crops of each file go: its path without suffix, or with it to be unique.

    The names lead nowhere but down, and differ even where capitals count for nothing.

    Raises:
        InputError: two paths that differ in no way that a name can show.
    """
    tamed = _tame(paths)
    stems = [str(PurePosixPath(path).with_suffix("")) for path in tamed]
    count = Counter(stem.casefold() for stem in stems)
    is_video = [path.lower().endswith(VIDEO_SUFFIXES) for path in paths]
    folders = {stem.casefold() for stem, video in zip(stems, is_video, strict=True) if video}
    names = [
        # A photograph a/7.png beside a video a.mp4 would share a/7.0.jpg with frame 7.
        path if count[stem.casefold()] > 1 or _parent(stem).casefold() in folders else stem
        for path, stem in zip(tamed, stems, strict=True)
    ]
    seen: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        other = seen.setdefault(name.casefold(), path)
        if other != path:
            raise InputError(f"{other} and {path}: their crops would share a name; rename one")
    return names


def _gather(clips: Sequence[Clip]) -> Iterator[Task]:
    """Yield each video alone and photographs together: a record for each would be many files."""
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


def _tame(paths: Sequence[str]) -> list[str]:
    """Take from paths what leads up or out, and what marks an archive.

    When files lie outside the root, the folders that all have in common say where on this machine,
    and nothing else: they go too.
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
