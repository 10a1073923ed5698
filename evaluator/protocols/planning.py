"""Plan a table: commands, finished steps and missing corpora."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from evaluator.protocols.building import Builder
from evaluator.protocols.places import find_faces
from evaluator.protocols.plans import Cell, Plan, Step
from evaluator.protocols.records import Protocol, Row
from focus.data.prepare import PrepareCommand
from focus.detectors import DETECTORS
from focus.errors import InputError

JOURNAL = "steps.json"


def plan(
    protocol: Protocol,
    root: Path,
    out: Path,
    partial: bool = False,
    predictions: Path | None = None,
) -> Plan:
    """Return the plan of a table; runs nothing and reads no images.

    Args:
        protocol: the table.
        root: folder of the corpora, see :func:`find_faces`.
        out: output folder; tables in the same folder share faces, networks and maps.
        partial: skip cells with missing corpora.
        predictions: folder with a folder per outside system, named as its row; see
            :class:`~evaluator.protocols.records.Row`.
    """
    protocol = replace(
        protocol, rows=tuple(_decide_source(protocol, row, predictions) for row in protocol.rows)
    )
    cells = [
        Cell(row, column, setting)
        for row in protocol.rows
        for column in protocol.columns
        if (setting := protocol.setting(row, column))
    ]
    used = dict.fromkeys(faces for cell in cells for faces in (cell.setting.train, cell.test))
    places = {faces: find_faces(faces, root) for faces in used if faces is not None}
    if partial:
        cells = [
            cell
            for cell in cells
            if all(
                places[faces].here for faces in (cell.setting.train, cell.test) if faces is not None
            )
        ]
    builder = Builder(protocol, out, places, cells)
    builder.build()
    journal = read_journal(out)
    steps = []
    for step in builder.steps.values():
        name, command = sign(step, root, out)
        done = step.output.exists() and journal.get(name) == command
        steps.append(replace(step, done=done))
    missing = dict.fromkeys(place.missing for place in places.values() if not place.here)
    return Plan(
        protocol,
        root,
        out,
        tuple(steps),
        tuple(dict.fromkeys(builder.evidence)),
        tuple(places.items()),
        (*missing, *builder.faults, *_missing_tools(steps)),
    )


def _decide_source(protocol: Protocol, row: Row, predictions: Path | None) -> Row:
    """Return a row with its predictions if they are given, and without a missing detector."""
    folder = predictions / row.label if predictions else None
    placed = row.train or any(column.train for column in protocol.columns)
    if folder is not None and folder.is_dir() and placed:
        return replace(row, detector="", network=None, predictions=str(folder))
    if row.trained in ("", *DETECTORS.names()):
        return row
    note = "; ".join(filter(None, (f"detector {row.trained} is not installed", row.note)))
    return replace(row, detector="", network=None, note=note)


def _missing_tools(steps: Sequence[Step]) -> list[str]:
    """Return the missing package if faces have to be extracted."""
    cuts = any(isinstance(step.options, PrepareCommand) and not step.done for step in steps)
    if not cuts or find_spec("retinaface") is not None:
        return []
    return ["RetinaFace, to extract faces: pip install 'focus-forgery[retinaface]'"]


def sign(step: Step, root: Path, out: Path) -> tuple[str, str]:
    """Return a step's output name and command, independent of the paths of root and out."""
    command = " ".join(step.words).replace(str(out), "OUT").replace(str(root), "ROOT")
    return step.output.relative_to(out).as_posix(), command


def read_journal(out: Path) -> dict[str, str]:
    """Return output -> command of the steps started in a folder.

    Raises:
        InputError: the journal is damaged.
    """
    path = out / JOURNAL
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); use another --out") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: is not a journal of steps; use another --out")
    return found
