"""Write a map file in parts, so that a killed run can be resumed."""

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
    """Content of a complete part."""

    faces: int
    key_bytes: int
    failures: list[tuple[int, str, str]]


class MapWriter:
    """Write a map file through parts in ``<out>.parts/``, each complete or missing.

    In a notebook::

        with MapWriter("maps.h5", generator="mine") as writer:
            writer.append(keys, maps)

    A long run reads :attr:`missing` instead and passes whole parts to :meth:`write_part`, from any
    number of processes; one of them, the owner, calls :meth:`finish`. After an error the parts are
    kept, and a run of the same :data:`~focus.mapstore.rows.IDENTITY` resumes from them.

    Args:
        out: the file; it appears in one rename.
        attributes: origin of the maps: ``generator``, ``config``, ``weights_sha256``,
            ``data``, ``root``, ``index_fingerprint``, ``real_maps``, ``normalisation``, ``shard``;
            text, or JSON values. Keyword arguments are added.
        rows: number of index rows, if known.
        overwrite: replace a file that exists, and drop parts of another run.
        part_rows: index rows in a part.
        owner: whether this process locks the folder, checks its content, and finishes.

    Attributes:
        complete: whether the file of this run is complete, with nothing left to write.
        faces: number of faces in the complete file.
        failures: after :meth:`finish`, (index row, key, reason) of faces that could not be read.

    Raises:
        InputError: the file or its parts belong to another run, another process is writing it, or
            the path cannot be written (for example, a folder).
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
            # Without the index's fingerprint, old parts may be of other faces.
            resumable = bool(self.identity["index_fingerprint"])
            self._folder.claim(run, overwrite, resumable)

    @property
    def missing(self) -> list[int]:
        """Numbers of the missing parts; a damaged part counts as missing."""
        return [] if self.complete else [block for block in self._blocks() if not self.has(block)]

    def has(self, block: int) -> bool:
        """Return whether a part exists and is complete."""
        return self._look(block) is not None

    def append(
        self,
        keys: Sequence[str],
        maps: Any,
        labels: Any = None,
        scores: Any = None,
        parts: Mapping[str, Any] | None = None,
    ) -> None:
        """Append faces.

        Args:
            keys: one per face, unique in the file.
            maps: (n, h, w) or (n, 1, h, w): float in [0, 1], uint8 levels or bool.
            labels: (n,) of 0 real, 1 fake, -1 unknown; default: all unknown.
            scores: (n,) P(fake); default: no scores.
            parts: name -> (n, ...) tensors behind the maps, stored too.

        Raises:
            InputError: invalid maps, lengths that differ, or a full disk.
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
            rows: their faces, without the unreadable ones.
            failures: (index row, key, reason) of faces that could not be read.

        Raises:
            InputError: the part cannot be written; earlier parts are kept.
        """
        listed = json.dumps(list(failures)).encode()
        attributes: dict[str, str | int] = {**self.attributes, "block": block}
        with replace_file(self._folder.part(block), within=self._folder.path) as temporary:
            write_file(temporary, attributes, [rows], len(rows), longest_key(rows.keys), listed)

    def finish(self) -> int:
        """Join the parts into the file, remove them, and return the number of faces.

        Faces that could not be read are listed in :func:`errors_file`.

        Raises:
            InputError: a part is missing, no face could be read, a key is repeated, maps differ in
                size, or the disk is full.
        """
        if len(self._waiting):
            self._flush()
        found = [self._look(block) for block in self._blocks()]
        missing = [block for block, part in enumerate(found) if part is None]
        if missing:
            lost = ", ".join(map(str, missing[:10]))
            raise InputError(f"{self.out}: missing part {lost} of {len(found)}; re-run")
        self.failures = [failure for part in found if part for failure in part.failures]
        count = sum(part.faces for part in found if part)
        key_bytes = max((part.key_bytes for part in found if part and part.faces), default=1)
        if not count:
            self._folder.remove()
            why = ": {1}: {2}".format(*self.failures[0]) if self.failures else ""
            raise InputError(f"{self.out}: not written, because no face could be read{why}")
        # Before the file itself, because its existence marks the end of the run.
        write_failures(errors_file(self.out), (failure[1:] for failure in self.failures))
        with replace_file(self.out, within=self._folder.path) as temporary:
            rows = (rows for part in self._parts() for rows in part.blocks())
            write_file(temporary, self.attributes, rows, count, key_bytes)
        self._folder.remove()
        self.faces, self.complete = count, True
        return count

    def close(self) -> None:
        """Unlock the folder; finished parts are kept."""
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
        """Return the content of a part, None if it is missing or damaged."""
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
        """Open the parts one at a time: the number of open files is limited."""
        for block in self._blocks():
            with MapReader(self._folder.part(block)) as part:
                yield part

    def _flush(self) -> None:
        """Write the next part of the appended faces."""
        self.write_part(self._appended, self._waiting.cut(0, self.part_rows))
        self._waiting = self._waiting.cut(self.part_rows)
        self._appended += 1

    def _is_complete(self) -> bool:
        """Return whether the file exists and belongs to this run; refuse any other file.

        Raises:
            InputError: the file belongs to another or an unknown run.
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
    """Return the path of the CSV that lists faces without a map."""
    return out.with_name(f"{out.name}.errors.csv")


def _failures(part: MapReader) -> list[tuple[int, str, str]] | None:
    """Return (index row, key, reason) of the faces missing from a part, None if damaged."""
    try:
        failures = json.loads(part.failures)
        return [(int(row), str(key), str(reason)) for row, key, reason in failures]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
