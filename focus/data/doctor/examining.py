"""All checks of an index, in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from focus.data.corpus import Corpus
from focus.data.doctor.duplicates import check_duplicates
from focus.data.doctor.files import Files, list_files
from focus.data.doctor.findings import SEVERITIES, Examination, Finding
from focus.data.doctor.labels import check_labels, count_rows
from focus.data.doctor.looking import FORMATS
from focus.data.doctor.pictures import check_files, check_masks, check_sizes, measure_sizes
from focus.data.doctor.published import check_published
from focus.data.doctor.shortcuts import check_shortcuts, measure_shortcuts, to_facts
from focus.data.doctor.splits import check_splits
from focus.data.doctor.survey import survey
from focus.data.index import FaceIndex
from focus.data.published import count_published


def examine(
    index: FaceIndex,
    corpus: Corpus | None = None,
    *,
    split: str = "",
    some_methods: bool = False,
    missing: Sequence[str] = (),
    quick: bool = False,
    workers: int = 0,
    quiet: bool = True,
) -> Examination:
    """Look at every file of an index, and check all that can be checked.

    Each file is read once; nothing of its pixels is kept, so that memory grows by some hundred
    bytes a row. Whatever is wrong with a file is a finding.

    Args:
        index: the rows.
        corpus: what was published about them.
        split: the only split that ``index`` was cut down to; its counts alone are compared.
        some_methods: ``index`` was cut down to some methods; their counts alone are compared.
        missing: files that the lists of the corpus name and that are not on disk.
        quick: read headers and decode nothing: masks, look-alikes, brightness are not checked.
        workers: processes that look at files; 0: this one. They start with the main module, which
            must be importable.
        quiet: no progress.

    Returns:
        The findings, the counts, and what was measured.

    Raises:
        InputError: processes were asked for and cannot be started.
    """
    files = list_files(index)
    seen = survey(files, quick, workers, quiet)
    published = count_published(index, corpus, split, some_methods) if corpus else {}
    shortcuts = measure_shortcuts(index, seen)
    formats = seen.faces["format"]
    are_videos = bool(len(index)) and bool((formats == FORMATS.index("video")).all())

    def find() -> Iterator[Finding]:
        if corpus:
            yield from check_published(index, corpus, published, missing)
        yield from check_files(seen)
        yield from check_sizes(seen, quick)
        yield from check_masks(index, seen)
        yield from check_labels(index)
        yield from check_splits(index, files)
        yield from check_duplicates(index, seen)
        yield from check_shortcuts(shortcuts, are_videos)

    findings = sorted(find(), key=lambda finding: SEVERITIES.index(finding.severity))
    facts = {
        "files": _count_files(files),
        "formats": {
            name: int(np.sum(formats == at)) for at, name in enumerate(FORMATS) if at in formats
        },
        "sizes": measure_sizes(seen),
        "file_alone": to_facts(shortcuts),
        "published": published,
    }
    return Examination(tuple(findings), count_rows(index), facts)


def _count_files(files: Files) -> dict[str, int]:
    counts = {"faces": files.faces}
    for column, places in files.links.items():
        counts[column] = len(np.unique(places[places >= 0]))
    return counts
