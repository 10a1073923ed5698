"""``evaluator import``: convert predictions of another system to a map file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from evaluator.interchange.exporting import NAMES, PREDICTIONS, PROBABILITIES, SCORES
from evaluator.interchange.matching import KeyTable
from evaluator.interchange.names import strip_suffix
from evaluator.interchange.options import ImportCommand
from evaluator.interchange.reading import (
    list_predictions,
    read_names,
    read_prediction,
    read_scores,
)
from focus.data.index import FaceIndex
from focus.data.sources import Source, describe_source, open_source
from focus.errors import CheckFailedError, InputError, UnreadableError, count_of
from focus.mapstore import MapWriter
from focus.mapstore.hdf5 import LIMIT_SIDE
from focus.mapstore.writer import PART_ROWS
from focus.runtime import Progress, note

LISTED = 10
ABSENT = "none found"
_PART_BYTES = 2**26


class Imported(NamedTuple):
    """Summary of an import."""

    faces: int
    """Faces in the map file."""
    scored: int
    """Of these, those with a score."""
    size: tuple[int, int]
    """Height and width of the maps; 1 x 1 for scores only."""
    unmatched: list[str]
    """Predictions that match no face of the index; skipped."""
    missing: list[tuple[str, str]]
    """Key and reason of faces missing from the map file."""


def import_command(command: ImportCommand) -> None:
    """Run ``evaluator import`` and report matched, unmatched and missing predictions.

    Raises:
        InputError: see :func:`import_maps`; ``--out`` exists.
        CheckFailedError: some faces have no readable prediction; the file covers the others.
    """
    quiet = command.runtime.quiet
    index = open_source(command.source, quiet)
    found = import_maps(
        index,
        command.out,
        command.predictions,
        command.scores,
        name=command.name,
        size=command.size,
        source=command.source,
        overwrite=command.overwrite,
        quiet=quiet,
    )
    height, width = found.size
    print(
        f"{command.out}: {count_of(found.faces, 'face')}, maps of {height} x {width}, "
        f"{count_of(found.scored, 'score')}"
    )
    if not command.predictions:
        note("note: no maps given: maps are zero, only scores can be judged", quiet)
    if found.unmatched:
        listed = ", ".join(found.unmatched[:LISTED])
        count = count_of(len(found.unmatched), "prediction")
        note(f"note: no face is matched by {count}: {listed}", quiet)
    if found.missing:
        listed = "; ".join(f"{key} ({reason})" for key, reason in found.missing[:LISTED])
        raise CheckFailedError(
            f"{len(found.missing)} of {count_of(len(index), 'face')} have no prediction "
            "and are not in "
            f"{command.out}: {listed}"
        )


def import_maps(
    index: FaceIndex,
    out: Path | str,
    predictions: Path | str | None = None,
    scores: Path | str | None = None,
    *,
    name: str = "import",
    size: int = 0,
    source: Source = Source(),
    overwrite: bool = False,
    quiet: bool = False,
) -> Imported:
    """Write predictions that match faces of the index to a map file, in index order.

    Args:
        index: the faces and their labels.
        out: the map file.
        predictions: folder of PNG or NPY files (``pred/`` in an IMDL-BenCo folder); None: none.
        scores: CSV or JSON; None: ``scores.csv`` or ``pred_label_combined.json`` in the folder.
        name: name of the system, recorded as ``generator``.
        size: side of all maps, resized bilinearly (by area to shrink); 0: unchanged.
        source: origin of the faces, recorded in the map file.
        overwrite: replace ``out``.
        quiet: hide progress.

    Raises:
        InputError: no prediction matches a face, one matches several, none can be read, maps differ
            in size, or a table has the wrong format.
    """
    if Path(out).exists() and not overwrite:
        raise InputError(f"{out} exists; --overwrite replaces it")
    folder = Path(predictions) if predictions else None
    found = _find(index, folder, Path(scores) if scores else None)
    wanted = found.scores if folder is None else found.files
    rows = [row for row, key in enumerate(index.keys) if key in wanted]
    missing = [(key, ABSENT) for key in index.keys if key not in wanted]
    shape = (1, 1) if folder is None else _first_shape(index, rows, found.files, size)
    attributes = {
        "generator": name,
        "config": {
            "predictions": str(predictions or ""),
            "scores": str(scores or ""),
            "size": size,
        },
        **describe_source(source),
        "index_fingerprint": index.fingerprint(),
    }
    count = scored = 0
    step = max(1, min(PART_ROWS, _PART_BYTES // (4 * shape[0] * shape[1])))
    with (
        MapWriter(out, attributes, overwrite=True, part_rows=step) as writer,
        Progress(len(rows), "importing", "maps", quiet) as progress,
    ):
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            maps, failures = _read_block(index, block, found.files, shape, size)
            missing += failures.items()
            keys = [index.keys[row] for row in block]
            read = [place for place, key in enumerate(keys) if key not in failures]
            keys = [keys[place] for place in read]
            known = [found.scores.get(key, np.nan) for key in keys]
            if keys:
                labels = index.labels[np.array(block)[read]]
                writer.append(keys, maps[read], labels, known)
            count, scored = count + len(keys), scored + int(np.isfinite(known).sum())
            progress.advance(len(block))
    return Imported(count, scored, shape, found.unmatched, missing)


class _Matches(NamedTuple):
    """Predictions matched to faces."""

    files: dict[str, Path]
    scores: dict[str, float]
    unmatched: list[str]


def _find(index: FaceIndex, folder: Path | None, given: Path | None) -> _Matches:
    """Match files and scores with faces; fail if nothing matches."""
    table = KeyTable(index.keys, read_names(folder / NAMES) if folder else {})
    files, unmatched = _match_files(folder, table) if folder else ({}, [])
    own = (folder / SCORES, folder / PROBABILITIES) if folder else ()
    path = given or next((file for file in own if file.is_file()), None)
    scores, unknown = _match_scores(path, table) if path else ({}, [])
    unmatched += unknown
    if not (files if folder else scores):
        first = f", such as {unmatched[0]}," if unmatched else ""
        raise InputError(
            f"{folder or given}: none of its predictions{first} matches a face of the index, whose "
            f"first is {index.keys[0]}"
        )
    return _Matches(files, scores, unmatched)


def _match_files(folder: Path, table: KeyTable) -> tuple[dict[str, Path], list[str]]:
    """Return key -> file, and the files that match no face."""
    is_imdl = any((folder / name).is_file() for name in (NAMES, PROBABILITIES))
    place = folder / PREDICTIONS if is_imdl and (folder / PREDICTIONS).is_dir() else folder
    files: dict[str, str] = {}
    for path in list_predictions(place):
        twin = files.setdefault(path[: -len(".png")], path)
        if twin != path:
            raise InputError(
                f"{place}: {twin} and {path} are predictions of the same face; keep one"
            )
    found, unmatched = table.match(files, str(place))
    matched = {key: place / files[name] for key, name in found.items()}
    return matched, [files[name] for name in unmatched]


def _match_scores(path: Path, table: KeyTable) -> tuple[dict[str, float], list[str]]:
    """Return key -> score, and the names that match no face."""
    scores = read_scores(path)
    # Names of IMDL-BenCo may include the image suffix; names of an export never do.
    short: dict[str, str] = {}
    for name in scores:
        twin = short.setdefault(name if table.find(name) else strip_suffix(name), name)
        if twin != name:
            raise InputError(f"{path}: {twin} and {name} are scores of the same face; keep one")
    found, unmatched = table.match(short, str(path))
    return {key: scores[short[name]] for key, name in found.items()}, unmatched


def _first_shape(
    index: FaceIndex, rows: Sequence[int], files: Mapping[str, Path], size: int
) -> tuple[int, int]:
    """Return height and width of all maps: as requested, or of the first readable map."""
    if size:
        return size, size
    shape = next(_shapes(index, rows, files), None)
    first = files[index.keys[rows[0]]]
    if shape is None:
        raise InputError(f"{first}: cannot be read, and neither can any other prediction")
    if max(shape) > LIMIT_SIDE:
        what = f"a map of {shape[0]} x {shape[1]}, larger than the limit ({LIMIT_SIDE})"
        raise InputError(f"{first}: {what}; give --size")
    return shape


def _shapes(
    index: FaceIndex, rows: Sequence[int], files: Mapping[str, Path]
) -> Iterator[tuple[int, int]]:
    for row in rows:
        try:
            height, width = read_prediction(files[index.keys[row]]).shape
        except UnreadableError:
            continue
        yield height, width


def _read_block(
    index: FaceIndex,
    rows: Sequence[int],
    files: Mapping[str, Path],
    shape: tuple[int, int],
    size: int,
) -> tuple[np.ndarray, dict[str, str]]:
    """Return float32 (n, h, w), zero without a file, and key -> reason of unreadable maps."""
    maps = np.zeros((len(rows), *shape), np.float32)
    failures = {}
    for place, row in enumerate(rows if files else ()):
        key = index.keys[row]
        try:
            maps[place] = _fit(read_prediction(files[key]), shape, size, files[key])
        except UnreadableError as error:
            failures[key] = str(error)
    return maps, failures


def _fit(values: np.ndarray, shape: tuple[int, int], size: int, path: Path) -> np.ndarray:
    """Return a prediction, float32 (h, w), resized to the common shape."""
    if values.shape == shape:
        return values
    if not size:
        sizes = " and ".join(f"{height} x {width}" for height, width in (shape, values.shape))
        raise InputError(f"{path}: maps of {sizes} cannot be stored in one file; give --size")
    shrinks = values.shape[0] > size or values.shape[1] > size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.clip(cv2.resize(values, shape[::-1], interpolation=how), 0, 1)
