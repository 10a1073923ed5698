"""Merge the shards of one index, made on several machines, into one map file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from focus.errors import InputError, count_of
from focus.files import refuse_folder, replace_file
from focus.mapstore.hdf5 import write_file
from focus.mapstore.reader import MapReader
from focus.mapstore.rows import IDENTITY, Rows, now, relate
from focus.runtime import QuietFlag
from focus.texts import Lookup, Texts


@dataclass(frozen=True)
class MergeCommand:
    """Merge the shards of one index."""

    parts: tuple[Path, ...]
    """The map files of all shards, in any order."""
    out: Path
    """The map file to write."""
    overwrite: bool = False
    """Replace a file that exists."""
    runtime: QuietFlag = field(default_factory=QuietFlag)


def merge_command(command: MergeCommand) -> None:
    """Run ``focus merge``.

    Raises:
        InputError: see :func:`merge`.
    """
    count = merge(command.parts, command.out, command.overwrite)
    print(f"{command.out}: {count_of(count, 'face')} of {count_of(len(command.parts), 'shard')}")


def merge(parts: Sequence[Path], out: Path, overwrite: bool = False) -> int:
    """Write the same file as a run without shards; return the number of faces.

    Args:
        parts: map files made with ``--shard I/N``, all N of them, in any order.
        out: the file; it appears in one rename.
        overwrite: replace a file that exists.

    Raises:
        InputError: a file that is not a shard, shards of different runs, a missing or repeated
            shard, or a face in two shards.
    """
    refuse_folder(out)
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; --overwrite replaces it")
    if not parts:
        raise InputError("no shards to merge; name the map files made with --shard I/N")
    readers = _order([MapReader(part) for part in parts])
    _check_overlap(readers)
    attributes = {**readers[0].attributes, "created": now()}
    attributes.pop("shard")
    attributes |= relate(attributes, out.parent)
    count = sum(map(len, readers))
    key_bytes = max(reader.key_bytes for reader in readers)
    with replace_file(out) as temporary:
        write_file(temporary, attributes, _read_all(readers), count, key_bytes)
    return count


def parse_shard(shard: str) -> tuple[int, int]:
    """Return I and N of ``I/N``.

    Raises:
        InputError: not two whole numbers with 1 <= I <= N.
    """
    number, _, total = shard.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise InputError(f"--shard {shard}: give I/N with 1 <= I <= N, as in 2/4")
    return int(number), int(total)


def _order(readers: Sequence[MapReader]) -> list[MapReader]:
    """Return the shards in order; refuse a missing one or one of another run."""
    first = readers[0]
    by_number: dict[int, MapReader] = {}
    total = 0
    for reader in readers:
        shard = str(reader.attributes.get("shard", ""))
        if not shard:
            raise InputError(f"{reader.path}: not a shard (made without --shard I/N)")
        number, total = parse_shard(shard)
        for name in IDENTITY[:-1]:
            if reader.attributes[name] != first.attributes[name]:
                raise InputError(f"{first.path} and {reader.path} differ in {name}: not one run")
        if total != parse_shard(str(first.attributes["shard"]))[1]:
            raise InputError(f"{first.path} and {reader.path} are of different numbers of shards")
        if number in by_number:
            raise InputError(f"{by_number[number].path} and {reader.path} are both shard {shard}")
        by_number[number] = reader
    missing = [f"{number}/{total}" for number in range(1, total + 1) if number not in by_number]
    if missing:
        raise InputError(f"missing: shard {', '.join(missing)}")
    return [by_number[number] for number in sorted(by_number)]


def _check_overlap(readers: Sequence[MapReader]) -> None:
    keys = Texts.of(key for reader in readers for key in reader)
    repeated = Lookup(keys).find_repeated()
    if repeated is not None:
        ends = np.cumsum([len(reader) for reader in readers])
        first, second = (readers[i].path for i in np.searchsorted(ends, repeated, side="right"))
        raise InputError(f"face {keys[repeated[0]]!r} is in both {first} and {second}")


def _read_all(readers: Sequence[MapReader]) -> Iterator[Rows]:
    for reader in readers:
        with reader:
            yield from reader.blocks()
