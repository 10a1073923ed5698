"""Corpora whose ground truth is polygons or colours: write it as masks."""

from __future__ import annotations

from pathlib import Path

from focus.data.corpora.masks import find_mask
from focus.data.corpus import CORPORA, Corpus
from focus.data.index import FaceIndex
from focus.data.sources import INDEX_NAME, Source, open_source
from focus.errors import InputError


def needs_masks(source: Source) -> Corpus | None:
    """Return the corpus of a source if its masks must be written first, else None."""
    if source.data not in CORPORA.names():
        return None
    corpus = CORPORA.get(source.data)
    return corpus if corpus.masks is not None else None


def write_truth(corpus: Corpus, source: Source, out: Path) -> tuple[FaceIndex, int]:
    """Write a corpus's masks to ``out/masks`` and an index with them; the images stay in place.

    Returns:
        The index, and the number of masks.

    Raises:
        InputError: the corpus cannot be opened, or ``out`` has another index.
    """
    index = open_source(source)
    if (out / INDEX_NAME).exists() and not (out / "masks").is_dir():
        raise InputError(f"--out {out}: has an {INDEX_NAME} already; choose another folder")
    assert corpus.masks is not None
    out.mkdir(parents=True, exist_ok=True)
    count = corpus.masks(index.root, out)
    masks = [find_mask(out, key) for key in index.keys]
    moved = index.relocated(out)
    written = FaceIndex({**moved.columns, "mask": masks}, moved.labels, out)
    written.write(out / INDEX_NAME)
    return written, count
