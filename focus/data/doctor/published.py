"""Checks against what was published about a corpus: counts, and files known to be bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from focus.data.corpus import Corpus
from focus.data.doctor.findings import Finding
from focus.data.images import VIDEO_SUFFIXES
from focus.data.index import SPLITS, FaceIndex
from focus.types import FAKE, REAL

_LABELS = {"real": REAL, "fake": FAKE}


def count_published(
    index: FaceIndex, corpus: Corpus, split: str = "", some_methods: bool = False
) -> dict[str, dict[str, int]]:
    """Return for each published filter how many rows were ``found`` and ``expected``.

    Left out are filters of another split than ``split``; those that need the methods that were
    left out, if only some were taken; and all, if the rows are not what was counted, but faces
    that were cut out of videos.
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


def check_published(
    index: FaceIndex, corpus: Corpus, counts: Mapping[str, Mapping[str, int]]
) -> Iterator[Finding]:
    """Yield parts that are absent, incomplete or too large, and files that are known to be bad.

    A part of which nothing is there may be left out on purpose; one that is incomplete may not. A
    filter that sums others up is spoken of only if none of them explains it.
    """
    found = {name: count["found"] for name, count in counts.items()}
    off = {name for name, count in counts.items() if count["found"] != count["expected"]}
    explained = {name for name in off if any(_is_part(other, name) for other in off)}
    faults: dict[str, list[str]] = {"absent": [], "incomplete": [], "too many": []}
    for name in sorted(off - explained):
        expected = counts[name]["expected"]
        line = f"{name or 'all'}: {found[name]} of {expected}"
        if found[name] > expected:
            faults["too many"].append(line)
        else:
            kind = "incomplete" if found[name] else "absent"
            faults[kind].append(f"{line}, {expected - found[name]} missing")
    title = corpus.title
    if faults["incomplete"]:
        message = f"parts of {title} that are incomplete"
        yield Finding.of("serious", "published counts", message, faults["incomplete"])
    if faults["absent"]:
        message = f"parts of {title} that are not there"
        yield Finding.of("warning", "published counts", message, faults["absent"])
    if faults["too many"]:
        message = f"parts of {title} with more than was published"
        yield Finding.of("warning", "published counts", message, faults["too many"])
    yield from _check_known_faults(index, corpus)


def _check_known_faults(index: FaceIndex, corpus: Corpus) -> Iterator[Finding]:
    ends = tuple(corpus.known_faults)
    bad = [key for key in index.keys if key.endswith(ends)] if ends else []
    if bad:
        faults = corpus.known_faults
        why = (
            f"{key} ({text})" for key in bad for end, text in faults.items() if key.endswith(end)
        )
        message = f"files of {corpus.title} that are known to be bad"
        yield Finding.of("warning", "known faults", message, why, len(bad))


def _is_part(name: str, whole: str) -> bool:
    """Tell whether a filter chooses among the rows of another: ``test fake`` among ``test``."""
    return set(whole.split()) < set(name.split())


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
