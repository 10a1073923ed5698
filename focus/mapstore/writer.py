"""Writing a map file in parts, so that a run that is killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from focus.errors import InputError
from focus.files import refuse_folder, replace_file, write_failures
from focus.folders import tell_difference
from focus.mapstore.folder import PartsFolder
from focus.mapstore.hdf5 import write_file
from focus.mapstore.reader import MapReader
from focus.mapstore.rows import (
    IDENTITY,
    NO_ROWS,
    Rows,
    check_rows,
    complete_attributes,
    join,
    longest_key,
)

PART_ROWS = 2048


class _Part(NamedTuple):
    """What a whole part holds."""

    faces: int
    key_bytes: int
    failures: list[tuple[int, str, str]]


class MapWriter:
    """Write a map file by way of parts in ``<out>.parts/``, each of them whole or not there.

    In a notebook::

        with MapWriter("maps.h5", generator="mine") as writer:
            writer.append(keys, maps)

    A long run asks :attr:`missing` instead and gives whole parts to :meth:`write_part`, from as
    many processes as it likes; one of them, the owner, calls :meth:`finish`. After an error the
    parts stay, and a run of the same :data:`~focus.mapstore.rows.IDENTITY` goes on from them.

    Args:
        out: the file; it appears in one rename.
        attributes: where the maps come from: ``generator``, ``config``, ``weights_sha256``,
            ``data``, ``root``, ``index_fingerprint``, ``real_maps``, ``normalisation``, ``shard``;
            text, or JSON values. Keywords do the same.
        rows: how many index rows there will be, if known.
        overwrite: replace a file that exists, and drop parts of another run.
        part_rows: index rows in a part.
        owner: whether this process locks the folder, checks what is there, and finishes.

    Attributes:
        complete: the file is there, made of the same: there is nothing (more) to write.
        faces: in the complete file.
        failures: after :meth:`finish`, (index row, key, reason) of faces that could not be read.

    Raises:
        InputError: the file exists and is of another run, its parts are, another process is
            writing it, or nothing can be written there (a folder, say).
    """

    def __init__(
        self,
        out: Path | str,
        attributes: Mapping[str, Any] | None = None,
        rows: int | None = None,
        *,
        overwrite: bool = False,
        part_rows: int = PART_ROWS,
        owner: bool = True,
        **more: Any,
    ) -> None:
        self.out, self.rows, self.part_rows, self.owner = Path(out), rows, part_rows, owner
        self.attributes = complete_attributes({**(attributes or {}), **more}, self.out.parent)
        self.identity = {name: self.attributes.get(name, "") for name in IDENTITY}
        self.faces, self.failures = 0, list[tuple[int, str, str]]()
        refuse_folder(self.out)
        self.complete = owner and not overwrite and self._is_complete()
        self._waiting, self._appended = NO_ROWS, 0
        self._folder = PartsFolder(self.out)
        run = {**self.identity, "rows": rows, "part_rows": part_rows}
        if self.complete:
            self._folder.sweep(run)
        elif owner:
            # Without the index's fingerprint nobody knows whether old parts are of these faces.
            resumable = bool(self.identity["index_fingerprint"])
            self._folder.claim(run, overwrite, resumable)

    @property
    def missing(self) -> list[int]:
        """Numbers of the parts that are not there yet; a spoilt part counts as missing."""
        return [] if self.complete else [block for block in self._blocks() if not self.has(block)]

    def has(self, block: int) -> bool:
        """Say whether a part is there and whole."""
        return self._look(block) is not None

    def append(
        self,
        keys: Sequence[str],
        maps: Any,
        labels: Any = None,
        scores: Any = None,
        parts: Mapping[str, Any] | None = None,
    ) -> None:
        """Add faces behind those that stand.

        Args:
            keys: one per face, unique in the file.
            maps: (n, h, w) or (n, 1, h, w): float in [0, 1], uint8 levels or bool.
            labels: (n,) of 0 real, 1 fake, -1 unknown; all unknown if not given.
            scores: (n,) P(fake); none if not given.
            parts: name -> (n, ...) tensors behind the maps, to be kept too.

        Raises:
            InputError: maps that are none, lengths that differ, or a full disk.
        """
        rows = check_rows(keys, maps, labels, scores, parts or {})
        self._waiting = join([self._waiting, rows])
        while len(self._waiting) >= self.part_rows:
            self._flush()

    def write_part(
        self, block: int, rows: Rows, failures: Sequence[tuple[int, str, str]] = ()
    ) -> None:
        """Write one part; it appears in one rename.

        Args:
            block: index rows ``[block * part_rows, (block + 1) * part_rows)``.
            rows: their faces, without those that failed.
            failures: (index row, key, reason) of faces that could not be read.

        Raises:
            InputError: the disk is full, say; earlier parts stay.
        """
        told = json.dumps(list(failures)).encode()
        attributes: dict[str, str | int] = {**self.attributes, "block": block}
        with replace_file(self._folder.part(block), within=self._folder.path) as temporary:
            write_file(temporary, attributes, [rows], len(rows), longest_key(rows.keys), told)

    def finish(self) -> int:
        """Put the parts together, remove them, and return the number of faces.

        Faces that could not be read are listed in :func:`errors_file`.

        Raises:
            InputError: a part is missing, no face could be read, a key stands twice, maps are of
                two sizes, or the disk is full.
        """
        if len(self._waiting):
            self._flush()
        found = [self._look(block) for block in self._blocks()]
        missing = [block for block, part in enumerate(found) if part is None]
        if missing:
            lost = ", ".join(map(str, missing[:10]))
            raise InputError(f"{self.out}: missing part {lost} of {len(found)}; run again")
        self.failures = [failure for part in found if part for failure in part.failures]
        count = sum(part.faces for part in found if part)
        key_bytes = max((part.key_bytes for part in found if part and part.faces), default=1)
        if not count:
            self._folder.remove()
            why = ": {1}: {2}".format(*self.failures[0]) if self.failures else ""
            raise InputError(f"{self.out}: not written, since no face could be read{why}")
        # Before the file, whose being there ends the run.
        write_failures(errors_file(self.out), (failure[1:] for failure in self.failures))
        with replace_file(self.out, within=self._folder.path) as temporary:
            rows = (rows for part in self._parts() for rows in part.blocks())
            write_file(temporary, self.attributes, rows, count, key_bytes)
        self._folder.remove()
        self.faces, self.complete = count, True
        return count

    def close(self) -> None:
        """Let go of the folder; parts that stand stay."""
        self._folder.release()

    def __enter__(self) -> MapWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self.owner and not self.complete:
                self.finish()
        finally:
            self.close()

    def _blocks(self) -> range:
        return range(self._appended if self.rows is None else -(-self.rows // self.part_rows))

    def _look(self, block: int) -> _Part | None:
        """Return what a part holds, None unless it is there and whole."""
        path = self._folder.part(block)
        if not path.exists():
            return None
        try:
            with MapReader(path) as reader:
                failures = _failures(reader)
                if reader.attributes.get("block") != block or failures is None:
                    return None
                return _Part(len(reader), reader.key_bytes, failures)
        except InputError:
            return None

    def _parts(self) -> Iterator[MapReader]:
        """Open the parts one after the other: a process may have only so many open files."""
        for block in self._blocks():
            with MapReader(self._folder.part(block)) as part:
                yield part

    def _flush(self) -> None:
        """Write the next part of what was appended."""
        self.write_part(self._appended, self._waiting.cut(0, self.part_rows))
        self._waiting = self._waiting.cut(self.part_rows)
        self._appended += 1

    def _is_complete(self) -> bool:
        """Say whether the file exists and is of this run; refuse any other file.

        Raises:
            InputError: a file that is not of this run, or one of an unknown run.
        """
        if not self.out.exists():
            return False
        advice = "--overwrite replaces it"
        if not self.identity["index_fingerprint"]:
            raise InputError(f"{self.out} exists; {advice}")
        try:
            with MapReader(self.out) as reader:
                old, self.faces = reader.attributes, len(reader)
        except InputError:
            raise InputError(f"{self.out} exists and is not a whole map file; {advice}") from None
        difference = tell_difference({"shard": "", **old}, self.identity, IDENTITY)
        if difference:
            raise InputError(f"{self.out} exists and is of another run ({difference}); {advice}")
        return True


def errors_file(out: Path) -> Path:
    """Return where the faces without a map are listed."""
    return out.with_name(f"{out.name}.errors.csv")


def _failures(part: MapReader) -> list[tuple[int, str, str]] | None:
    """Return (index row, key, reason) of the faces missing from a part, None if damaged."""
    try:
        failures = json.loads(part.failures)
        return [(int(row), str(key), str(reason)) for row, key, reason in failures]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
