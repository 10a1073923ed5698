"""FaceForensics++ (Rössler et al., ICCV 2019), with FaceShifter and Google's DeepFakeDetection.

::

    original_sequences/youtube/<level>/videos/<id>.mp4                         real, 000 to 999
    original_sequences/actors/<level>/videos/<actor>__<scene>.mp4              real, of DFD
    manipulated_sequences/<method>/<level>/videos/<target>_<source>.mp4        fake
    manipulated_sequences/<method>/masks/videos/<target>_<source>.mp4
    manipulated_sequences/DeepFakeDetection/...<target>_<source>__<scene>__<8 characters>.mp4
    splits/{train,val,test}.json       lists of pairs of ids; may also be in the root

Levels are raw (or c0), c23 and c40. A pair of ids gives two fakes, a_b and b_a; a fake belongs to
the split of its pair, as do both real videos. DFD has no official split and is used as test data,
as is customary. The lists are part of the FaceForensics repository (``dataset/splits``), not of the
download. Listed videos are rows even if the file is missing, as long as its folder exists.

Masks have no level: all three share them. FaceShifter has none. Masks of Deepfakes are rectangles,
those of NeuralTextures tracked regions. ``original`` is the target's video of the same level.
Columns ``target`` and ``source`` are ids of YouTube videos, or of actors for DFD; ``target`` is the
person shown, in real videos too.

Pitfalls: frames of DFD may show several people, and the forged face is not always the largest; a
mask video of DFD may be shorter than its video.

Published: 1000 YouTube videos and as many fakes per method, 720, 140 and 140 in train, val and
test; DFD 363 and 3068. Real test videos are not listed below, because they are 140 without DFD and
503 with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from focus.data.corpora.reading import (
    LEVELS,
    list_names,
    list_videos,
    natural,
    read_json,
    strip_suffix,
)
from focus.data.corpus import Corpus, ScanOptions
from focus.data.index import SPLITS, Face, FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL

DFD = "DeepFakeDetection"
METHODS = {
    "DF": "Deepfakes",
    "F2F": "Face2Face",
    "FS": "FaceSwap",
    "NT": "NeuralTextures",
    "FSh": "FaceShifter",
    "DFD": DFD,
}
_DFD_FAKE = re.compile(r"(\d+)_(\d+)__(.+)__[^_]+")


class _Videos(NamedTuple):
    """A folder of videos, relative to the root, and the names of its files."""

    folder: str
    names: list[str]


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List real and fake videos of one compression level (default: c23).

    Raises:
        InputError: no videos of that level, an unknown method, level or folder, no split lists, or
            lists with another structure or with an id in two splits.
    """
    levels = LEVELS.get(options.compression)
    if levels is None:
        raise InputError(f"compression {options.compression}: use raw, c23 or c40")
    methods = _choose_methods(root, options.methods)
    on_pairs = any(method != DFD for method in methods)
    youtube = _find(root, "original_sequences/youtube", levels) if on_pairs else None
    actors = _find(root, "original_sequences/actors", levels) if DFD in methods else None
    fakes = {name: _find(root, f"manipulated_sequences/{name}", levels) for name in methods}
    found = {name: videos for name, videos in fakes.items() if videos}
    if options.methods and len(found) < len(methods):
        missing = next(name for name in methods if name not in found)
        raise InputError(
            f"{root / 'manipulated_sequences' / missing}: no folder {levels[0]}/videos"
        )
    if not (youtube or actors or found):
        raise InputError(_explain_mismatch(root, levels[0]))
    splits = _read_splits(root) if youtube or found.keys() - {DFD} else {}
    return FaceIndex.of(_list_faces(root, youtube, actors, found, splits), root)


def _choose_methods(root: Path, wanted: tuple[str, ...]) -> list[str]:
    """Return full names, in the order of ``METHODS``; reject folders of unknown methods."""
    known = {name.casefold(): name for name in METHODS.values()}
    known |= {short.casefold(): name for short, name in METHODS.items()}
    for method in wanted:
        if method.casefold() not in known:
            names = ", ".join(f"{short} ({name})" for short, name in METHODS.items())
            raise InputError(f"method {method}: FaceForensics++ has {names}")
    if wanted:
        chosen = {known[method.casefold()] for method in wanted}
        return [name for name in METHODS.values() if name in chosen]
    folder = root / "manipulated_sequences"
    for name in list_names(folder, folders=True):
        if name not in METHODS.values():
            hint = "move it out, or choose methods"
            raise InputError(f"{folder / name}: not a FaceForensics++ method; {hint}")
    return list(METHODS.values())


def _find(root: Path, part: str, levels: tuple[str, ...]) -> _Videos | None:
    for level in levels:
        folder = f"{part}/{level}/videos"
        if (root / folder).is_dir():
            return _Videos(folder, list_videos(root / folder))
    return None


def _explain_mismatch(root: Path, level: str) -> str:
    parts = ("original_sequences/*/*", "manipulated_sequences/*/*")
    folders = [folder for part in parts for folder in sorted(root.glob(part))]
    has = {folder.name for folder in folders if (folder / "videos").is_dir()} - {"masks"}
    looked = f"original_sequences/youtube/{level}/videos and manipulated_sequences/*/{level}/videos"
    hint = ""
    if has:
        hint = f"; it has compression {', '.join(sorted(has))}"
    elif any((folder / "frames").is_dir() for folder in folders):
        hint = "; it has frames of DeepfakeBench: use the corpus deepfakebench"
    return f"{root}: not FaceForensics++: no {looked}{hint}"


def _read_splits(root: Path) -> dict[str, str]:
    """Return the split of each id and, in both orders, of each pair of ids."""
    folder = root / "splits" if (root / "splits").is_dir() else root
    splits: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.json"
        if not path.is_file():
            where = "dataset/splits of the FaceForensics repository"
            raise InputError(f"{path}: no such file; copy the lists from {where}")
        pairs = read_json(path)
        if not isinstance(pairs, list):
            raise InputError(f"{path}: must be a list of pairs of ids")
        for number, pair in enumerate(pairs, 1):
            if not (isinstance(pair, list) and [type(one) for one in pair] == [str, str]):
                raise InputError(f"{path}: entry {number} is not a pair of ids in quotes: {pair}")
            a, b = pair
            for name in (a, b, f"{a}_{b}", f"{b}_{a}"):
                if splits.setdefault(name, split) != split:
                    raise InputError(f"{path}: entry {number} ({name}) is in {splits[name]} too")
    return splits


def _list_faces(
    root: Path,
    youtube: _Videos | None,
    actors: _Videos | None,
    fakes: Mapping[str, _Videos],
    splits: Mapping[str, str],
) -> Iterator[Face]:
    """Yield the videos on disk and those in the lists."""
    originals: dict[str, str] = {}
    for videos, listed in ((youtube, splits), (actors, {})):
        if videos is None:
            continue
        for name in _complete(videos, [stem for stem in listed if "_" not in stem]):
            stem, path = Path(name).stem, f"{videos.folder}/{name}"
            originals[stem] = path
            split = "test" if videos is actors else splits.get(stem, "")
            extra = {"target": stem.split("__")[0]}
            yield Face(path, REAL, split, video=strip_suffix(path), extra=extra)
    for method, videos in fakes.items():
        listed = {} if method == DFD else splits
        for name in _complete(videos, [stem for stem in listed if "_" in stem]):
            yield _describe_fake(root, method, f"{videos.folder}/{name}", splits, originals)


def _complete(videos: _Videos, listed: list[str]) -> list[str]:
    return sorted({*videos.names, *(f"{stem}.mp4" for stem in listed)}, key=natural)


def _describe_fake(
    root: Path, method: str, path: str, splits: Mapping[str, str], originals: Mapping[str, str]
) -> Face:
    stem = Path(path).stem
    split = "test" if method == DFD else splits.get(stem, "")
    target, _, source = stem.partition("_")
    shown = target
    if method == DFD and (parts := _DFD_FAKE.fullmatch(stem)):
        target, source, shown = parts[1], parts[2], f"{parts[1]}__{parts[3]}"
    masks = f"manipulated_sequences/{method}/masks/videos"
    return Face(
        path,
        FAKE,
        split,
        method,
        video=strip_suffix(path),
        mask=f"{masks}/{Path(path).name}" if (root / masks).is_dir() else "",
        original=originals.get(shown, ""),
        extra={"target": target, "source": source},
    )


_COUNTS = {"train": 720, "val": 140, "test": 140}
CORPUS = Corpus(
    name="ffpp",
    title="FaceForensics++",
    source="Rössler et al., FaceForensics++: Learning to Detect Manipulated Facial Images, "
    "ICCV 2019; https://github.com/ondyari/FaceForensics",
    scan=scan,
    unit="video",
    published={
        "train real": 720,
        "val real": 140,
        **{
            f"{split} fake {method}": count
            for method in METHODS.values()
            if method != DFD
            for split, count in _COUNTS.items()
        },
        f"test fake {DFD}": 3068,
    },
)
