"""Checks against the published counts of a corpus and its known bad files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from focus.data.corpus import Corpus
from focus.data.doctor.findings import Finding
from focus.data.index import FaceIndex


def check_published(
    index: FaceIndex,
    corpus: Corpus,
    counts: Mapping[str, Mapping[str, int]],
    missing: Sequence[str] = (),
) -> Iterator[Finding]:
    """Yield parts that are absent, incomplete or too large, and known bad files.

    A subset of a corpus is a note, not a fault: most people have one. A filter that includes others
    is reported only if none of those differs.

    Args:
        index: the rows.
        corpus: its title, published counts and known faults.
        counts: as ``count_published`` returns them.
        missing: files that the corpus lists but that are not on disk.
    """
    if missing:
        message = f"files listed by {corpus.title} that are not on disk"
        yield Finding.of("note", "subset", message, missing, len(missing))
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
        yield Finding.of("note", "published counts", message, faults["incomplete"])
    if faults["absent"]:
        message = f"parts of {title} that are missing"
        yield Finding.of("note", "published counts", message, faults["absent"])
    if faults["too many"]:
        message = f"parts of {title} with more rows than published"
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
    """Return whether a filter selects a subset of another's rows: ``test fake`` of ``test``."""
    return set(whole.split()) < set(name.split())
