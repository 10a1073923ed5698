"""What a corpus is to FoCus: a name, its folders on disk, and what was published about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from focus.data.index import FaceIndex
from focus.registry import Registry


@dataclass(frozen=True)
class ScanOptions:
    """Which part of a corpus to take."""

    compression: str = ""
    """FaceForensics++ and its kin: raw (c0), c23 or c40; empty: the corpus's default."""
    methods: tuple[str, ...] = ()
    """Forgery methods, by the corpus's names or short names; empty: all."""


@dataclass(frozen=True)
class Corpus:
    """A published collection as people have it on disk; found through ``focus.corpora``.

    ``scan(root, options)`` lists files and decodes nothing. It raises
    :class:`~focus.errors.InputError` when the root does not look like this corpus, saying what it
    looked for. Files that its lists name are rows even if they are missing; opening the corpus
    (:func:`focus.data.sources.open_source`) leaves those out and counts them.
    """

    name: str
    """Short name, as in ``--data wdf``."""
    title: str
    """The published name."""
    source: str
    """Where it was published."""
    scan: Callable[[Path, ScanOptions], FaceIndex]
    """Folder and options to index; a row a video, an image, or a face."""
    unit: Literal["video", "image", "face"] = "image"
    """What a row of the scanned index is; only ``face`` can be trained on without prepare."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Published counts of rows, by filter: any of split, real or fake, and method, in that order
    with blanks between, such as ``test fake Deepfakes``; the empty filter counts all rows."""
    known_faults: Mapping[str, str] = field(default_factory=dict)
    """Keys (or ends of keys) of known bad files, and what is wrong with them."""
    masks: Callable[[Path, Path], int] | None = None
    """For truth that is not an image (polygons, colours): root and folder to number of masks
    written, that of a row as ``masks/KEY.png`` below the folder, in the geometry of its ``path``. A
    scan of a root that holds them names them."""
    counted: Literal["rows", "videos"] = "rows"
    """What the published counts count."""


CORPORA: Registry[Corpus] = Registry("focus.corpora", "corpus")
