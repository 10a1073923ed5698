"""WildDeepfake (Zi et al., ACM Multimedia 2020): face crops of videos from the internet.

::

    deepfake_in_the_wild/{real,fake}_{train,test}/<n>.tar.gz       as on Hugging Face
        ./<n>/{real,fake}/<sequence>/<frame>.png                   224 x 224; the frame's number

The root is ``deepfake_in_the_wild`` or the folder above it. Older copies name the folders with a
space, ``fake train``. Archives are read in place; a row is ``.../12.tar.gz!/12/fake/3/5.png``. An
archive unpacked next to itself (``.../12/fake/3/5.png`` or ``.../12/12/fake/3/5.png``) is read from
its folder instead.

Label and split come from the folder of the archives, never from a word in the root or inside an
archive. There is no val; papers select on test, FoCus does not. ``video`` is the sequence, whose
number recurs across archives; ``source`` is the archive, assumed to be one internet video
(unverified). Frames are sorted by their numbers. No masks and no originals: maps can be evaluated
by the probe only.

A damaged archive gives one row; reading that row fails with the reason.

Published: 3805 real and 3509 fake sequences of 707 videos. ``CORPUS.published`` counts these
sequences (column ``video``), not rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from focus.data.archives import ARCHIVE_SUFFIXES, list_members
from focus.data.corpora.reading import build_index, list_names, natural, walk
from focus.data.corpus import Corpus, ScanOptions
from focus.data.images import IMAGE_SUFFIXES
from focus.data.index import Face, FaceIndex
from focus.errors import InputError, UnreadableError, count_of
from focus.runtime import note, track
from focus.types import FAKE, REAL

_LABELS = {"real": REAL, "fake": FAKE}
_FOLDER = re.compile(r"(real|fake)[ _-](train|test)", re.IGNORECASE)


def scan(root: Path, options: ScanOptions) -> FaceIndex:
    """List the faces of all archives, packed or unpacked; each archive is decompressed once.

    Raises:
        InputError: none of the four folders, no face in them, or an unsupported option.
    """
    base = root / "deepfake_in_the_wild"
    base = base if base.is_dir() else root
    folders = [name for name in list_names(base, folders=True) if _FOLDER.fullmatch(name)]
    if not folders:
        raise InputError(f"{base}: not WildDeepfake: no folder real_train, fake_train or *_test")
    sources = [source for name in folders for source in _list_sources(base / name)]
    tracked = track(sources, len(sources), "listing WildDeepfake", "archives")
    faces = [face for source in tracked for face in _list_faces(root, source)]
    if not faces:
        raise InputError(f"{base}: neither *.tar.gz nor unpacked faces in {', '.join(folders)}")
    return build_index(faces, root, options)


def _list_sources(folder: Path) -> Iterator[Path]:
    """Yield the unpacked folders, and the archives that are not unpacked."""
    unpacked = list_names(folder, folders=True)
    unpacked_archives = 0
    for name in list_names(folder, ARCHIVE_SUFFIXES):
        if name.partition(".")[0] in unpacked:
            unpacked_archives += 1
        else:
            yield folder / name
    yield from (folder / name for name in unpacked)
    if unpacked_archives:
        note(f"{folder}: skipped {count_of(unpacked_archives, 'archive')} already unpacked there")


def _list_faces(root: Path, source: Path) -> Iterator[Face]:
    """Yield the faces of an archive or a folder, in order of sequence and frame."""
    parts = _FOLDER.fullmatch(source.parent.name)
    assert parts is not None
    label, split = _LABELS[parts[1].lower()], parts[2].lower()
    number = source.name.partition(".")[0]
    origin = f"{parts[1]}_{parts[2]}/{number}".lower()
    path, extra = source.relative_to(root).as_posix(), {"source": origin}
    names: Iterable[str]
    if source.is_dir():
        names, between = walk(source, IMAGE_SUFFIXES), "/"
    else:
        try:
            names, between = list_members(source), "!/"
        except UnreadableError as error:
            note(f"cannot read {source}: {error}")
            yield Face(f"{path}!/{number}", label, split, video=origin, extra=extra)
            return
    for name in sorted(filter(_is_face, names), key=natural):
        sequence = name.rpartition("/")[0].removeprefix(f"{number}/")
        yield Face(
            f"{path}{between}{name}", label, split, video=f"{origin}/{sequence}", extra=extra
        )


def _is_face(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.rpartition("/")[2].startswith(".")


CORPUS = Corpus(
    name="wdf",
    title="WildDeepfake",
    source="Zi et al., WildDeepfake: A Challenging Real-World Dataset for Deepfake Detection, "
    "ACM Multimedia 2020; https://huggingface.co/datasets/xingjunm/WildDeepfake",
    scan=scan,
    unit="face",
    published={"real": 3805, "fake": 3509},
    counted="videos",
)
