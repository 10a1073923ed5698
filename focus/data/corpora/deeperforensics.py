"""DeeperForensics-1.0 (Jiang et al., CVPR 2020): faces of paid actors inserted into YouTube videos.

::

    manipulated_videos/<variant>/<target>_<actor>.mp4     fake; end_to_end, end_to_end_level_1, ...
    source_videos/<actor>/.../*.mp4                       real, the recordings of the actors
    lists/splits/{train,val,test}.txt                     names of manipulated videos

A variant is one way of making or distorting the same fakes; it is the ``method``, and all variants
share the same lists. Lines name a video with or without its variant and its suffix. A listed video
is a row of every variant whose folder exists, even if the file is missing. Videos of a variant, and
the frames of an actor, may be one level down, in ``videos/``.

The lists do not name recordings of the actors. A recording gets the split of its actor's fakes if
they are all in one split, and none otherwise, so that no person is in two splits. The target videos
are those of FaceForensics++ (``target`` is their id) and are not part of this corpus: ``original``
is empty, and tests against them need the corpus ``ffpp``. No masks.

Counts of these folders are unverified and not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from focus.data.corpora.reading import (
    build_index,
    find_videos,
    list_names,
    list_videos,
    natural,
    read_text,
    strip_suffix,
    walk,
)
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import SPLITS, Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the manipulated videos of all variants found, and the recordings.

    Raises:
        InputError: neither of the two folders, no lists, a video in two of them, or an unsupported
            option.
    """
    variants = list_names(root / "manipulated_videos", folders=True)
    actors = list_names(root / "source_videos", folders=True)
    if not (variants or actors):
        looked = "manipulated_videos/<variant> or source_videos/<actor>"
        raise InputError(f"{root}: not DeeperForensics-1.0: no folder {looked}")
    splits = _read_lists(root / "lists" / "splits")
    fakes = (face for name in variants for face in _list_fakes(root, name, splits))
    reals = (face for name in actors for face in _list_recordings(root, name, splits))
    return build_index([*reals, *fakes], root, options)


def _read_lists(folder: Path) -> dict[str, str]:
    """Return the split of each manipulated video, by its name without suffix."""
    splits: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if not line.strip():
                continue
            stem = PurePosixPath(line.strip().replace("\\", "/")).stem
            if not all(stem.partition("_")):
                raise InputError(f"{path}: line {number} is not <target>_<actor>.mp4: {line!r}")
            if splits.setdefault(stem, split) != split:
                raise InputError(f"{path}: line {number} ({stem}) is in {splits[stem]}.txt too")
    return splits


def _list_fakes(root: Path, variant: str, splits: Mapping[str, str]) -> Iterator[Face]:
    folder = find_videos(root / "manipulated_videos" / variant)
    for name in sorted({*list_videos(folder), *(f"{stem}.mp4" for stem in splits)}, key=natural):
        path = (folder.relative_to(root) / name).as_posix()
        stem = Path(name).stem
        target, _, actor = stem.partition("_")
        extra = {"target": target, "source": actor}
        split = splits.get(stem, "")
        yield Face(path, FAKE, split, variant, strip_suffix(path), extra=extra)


def _list_recordings(root: Path, actor: str, splits: Mapping[str, str]) -> Iterator[Face]:
    of_fakes = {split for stem, split in splits.items() if stem.partition("_")[2] == actor}
    split = of_fakes.pop() if len(of_fakes) == 1 else ""
    for name in walk(root / "source_videos" / actor):
        path = f"source_videos/{actor}/{name}"
        yield Face(path, REAL, split, video=strip_suffix(path), extra={"target": actor})


CORPUS = Corpus(
    name="deeper",
    title="DeeperForensics-1.0",
    source="Jiang et al., DeeperForensics-1.0: A Large-Scale Dataset for Real-World Face Forgery "
    "Detection, CVPR 2020; https://github.com/EndlessSora/DeeperForensics-1.0",
    scan=scan,
    unit="video",
)
