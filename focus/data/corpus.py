"""Corpus: a name, its folders on disk, and its published counts and faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from focus.data.index import FaceIndex
from focus.registry import Registry


@dataclass(frozen=True)
class ScanOptions:
    """The part of a corpus to use."""

    compression: str = ""
    """For FaceForensics++ and similar corpora: raw (c0), c23 or c40; empty: the default."""
    methods: tuple[str, ...] = ()
    """Forgery methods, by the corpus's names or short names; empty: all."""


@dataclass(frozen=True)
class Corpus:
    """A published collection in its usual folders; registered through ``focus.corpora``.

    ``scan(root, options)`` lists files and decodes nothing. It raises
    :class:`~focus.errors.InputError` with the expected files if the root does not look like this
    corpus. Listed files are rows even if they are missing; opening the corpus
    (:func:`focus.data.sources.open_source`) skips and counts missing ones.
    """

    name: str
    """Short name, as in ``--data wdf``."""
    title: str
    """The published name."""
    source: str
    """Where it was published."""
    scan: Callable[[Path, ScanOptions], FaceIndex]
    """Function of root folder and options that returns the index: a row per ``unit``."""
    unit: Literal["video", "image", "face"] = "image"
    """Unit of a row of the scanned index; only ``face`` can be trained on without prepare."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Published counts of rows, by filter: any of split, real or fake, and method, in that order,
    separated by spaces, such as ``test fake Deepfakes``; the empty filter counts all rows."""
    known_faults: Mapping[str, str] = field(default_factory=dict)
    """Keys (or ends of keys) of known bad files -> description of the fault."""
    masks: Callable[[Path, Path], int] | None = None
    """For ground truth that is not a mask image (polygons, colours): function of root and output
    folder that writes the mask of each row to ``masks/KEY.png``, in the geometry of its ``path``,
    and returns the number of masks. A scan of a root with such masks lists them."""
    counted: Literal["rows", "videos"] = "rows"
    """Unit of the published counts."""


CORPORA: Registry[Corpus] = Registry("focus.corpora", "corpus")
