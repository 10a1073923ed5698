"""``focus index``: write the face index of any source, with new splits if wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from focus.data.index import SPLITS
from focus.data.sources import INDEX_NAME, Source, count_splits, open_source
from focus.data.splits import SplitBy, assign_splits
from focus.errors import InputError, count_of
from focus.runtime import SeedFlags, note
from focus.types import FAKE, REAL, UNKNOWN


@dataclass(frozen=True)
class IndexCommand:
    """Write the face index of any source. Images are decoded only for --crop faces."""

    source: Source
    out: Path
    """CSV file to write; paths in it are relative to its folder."""
    split: tuple[str, ...] = ()
    """Three shares, such as 0.7 0.15 0.15: assign splits train, val and test at random. Or one
    name: use this split only."""
    split_by: SplitBy = "video"
    """Faces that the shares keep in one split: of a video, person or folder. Faces of one video,
    and a fake and its original, always are."""
    runtime: SeedFlags = field(default_factory=SeedFlags)
    """Seed of the splits."""

    def __post_init__(self) -> None:
        given = " ".join(self.split)
        if self.shares and not (min(self.shares) >= 0 and abs(sum(self.shares) - 1) < 1e-6):
            raise InputError(f"--split {given}: shares must not be negative and must add up to 1")
        if len(self.split) > 1 and not self.shares:
            raise InputError(f"--split {given}: give three shares (train, val, test), or one split")
        if self.split_by != "video" and not self.shares:
            raise InputError(f"--split-by {self.split_by}: needs --split with three shares")

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of train, val and test; empty if none are given."""
        try:
            return tuple(map(float, self.split)) if len(self.split) == len(SPLITS) else ()
        except ValueError:
            return ()


def index_command(config: IndexCommand) -> None:
    """Run ``focus index``: write the rows and print their counts, and the shares of new splits.

    Raises:
        InputError: the source cannot be opened, --out is not a CSV file or is the source, or the
            faces cannot be split.
    """
    out, quiet = config.out, config.runtime.quiet
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise InputError(f"--out {out}: must be a file that ends in .csv")
    source, lines = config.source, list[str]()
    if config.split and not config.shares:
        source = replace(source, split=config.split[0])
    index = open_source(source, quiet)
    given = Path(source.data)
    read = given if given.is_file() else index.root / INDEX_NAME
    if out.exists() and read.exists() and read.samefile(out):
        raise InputError(
            f"--out {out}: is the index that was read; remove it or choose another file"
        )
    if config.shares:
        former = count_splits(index)
        index, lines = assign_splits(index, config.shares, config.split_by, config.runtime.seed)
        if former:
            note(f"note: replaces the splits of {source.data} ({former})", quiet)
    index.relocated(out.parent).write(out)
    labels = {"real": REAL, "fake": FAKE, "unknown": UNKNOWN}
    counts = [f"{np.sum(index.labels == label)} {name}" for name, label in labels.items()]
    splits = count_splits(index)
    print(
        f"{out}: {count_of(len(index), 'face')} "
        f"({', '.join(counts)}){'; ' if splits else ''}{splits}"
    )
    for line in lines[:1]:
        print(line)
    for line in lines[1:]:
        note(f"note: {line}", quiet)
