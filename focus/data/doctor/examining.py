"""Run all checks of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from focus.data.corpus import Corpus
from focus.data.doctor.duplicates import check_duplicates
from focus.data.doctor.files import Files, list_files
from focus.data.doctor.findings import SEVERITIES, Examination, Finding
from focus.data.doctor.images import check_files, check_masks, check_sizes, measure_sizes
from focus.data.doctor.labels import check_labels, count_rows
from focus.data.doctor.looking import FORMATS
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
    """Inspect every file of an index and run all checks.

    Each file is read once and no pixels are kept: memory grows by about a hundred bytes a row. Any
    error in a file becomes a finding.

    Args:
        index: the rows.
        corpus: its published counts and known faults are checked too.
        split: the only split in ``index``, if restricted; only its published counts are compared.
        some_methods: ``index`` has some methods only; only their published counts are compared.
        missing: files that the corpus lists but that are not on disk.
        quick: read headers only: masks, look-alikes and brightness are not checked.
        workers: processes that inspect files; 0: this process. They import the main module, which
            must be importable.
        quiet: show no progress.

    Returns:
        The findings, the counts and the measurements.

    Raises:
        InputError: worker processes cannot be started.
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
