"""Compare the rows of an index with the published counts of its corpus."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from focus.data.corpus import Corpus
from focus.data.images import VIDEO_SUFFIXES
from focus.data.index import SPLITS, FaceIndex
from focus.types import FAKE, REAL

_LABELS = {"real": REAL, "fake": FAKE}


def count_published(
    index: FaceIndex, corpus: Corpus, split: str = "", some_methods: bool = False
) -> dict[str, dict[str, int]]:
    """Return the rows ``found`` and ``expected`` for each published filter.

    Excluded are filters of a split other than ``split``; with ``some_methods``, filters that
    include other methods; and all filters if the rows are not the counted unit (for example, faces
    cut out of videos).
    """
    is_video = [key.lower().endswith(VIDEO_SUFFIXES) for key in index.keys[:1]]
    if is_video != [corpus.unit == "video"]:
        return {}
    methods = set(index.column("method"))
    counts = {}
    for name, expected in corpus.published.items():
        part, label, method = _parse(name)
        has_methods = not some_methods or label == REAL or (method and method in methods)
        if has_methods and (not split or part == split):
            found = _count(index, name, corpus.counted)
            counts[name] = {"found": found, "expected": expected}
    return counts


def count_missing(counts: Mapping[str, Mapping[str, int]]) -> int:
    """Return a lower bound of the published rows that are missing; filters may overlap.

    Only filters that cannot share a row are summed: those of one form (``test fake Deepfakes`` and
    ``val fake FaceSwap``), and those of real faces with those of fakes.

    Args:
        counts: as ``count_published`` returns them.
    """
    forms: dict[tuple[int | None, bool, bool], int] = {}
    for name, count in counts.items():
        split, label, method = _parse(name)
        form = label, bool(split), bool(method)
        forms[form] = forms.get(form, 0) + max(count["expected"] - count["found"], 0)
    of_label = {
        label: max((n for form, n in forms.items() if form[0] == label), default=0)
        for label in (REAL, FAKE, None)
    }
    return max(of_label[REAL] + of_label[FAKE], of_label[None])


def _parse(name: str) -> tuple[str, int | None, str]:
    """Return split, label and method of a filter."""
    words = name.split()
    split = words.pop(0) if words and words[0] in SPLITS else ""
    label = _LABELS[words.pop(0)] if words and words[0] in _LABELS else None
    return split, label, " ".join(words)


def _count(index: FaceIndex, name: str, counted: str) -> int:
    split, label, method = _parse(name)
    keep = np.ones(len(index), dtype=np.bool_)
    for column, wanted in (("split", split), ("method", method)):
        if wanted:
            keep &= [value == wanted for value in index.column(column)]
    if label is not None:
        keep &= index.labels == label
    if counted == "videos":
        videos = index.column("video")
        return len({videos[row] for row in np.flatnonzero(keep).tolist()})
    return int(keep.sum())
