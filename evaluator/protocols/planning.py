"""What a table takes, found out beforehand: the commands, what is done, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from evaluator.protocols.building import Builder
from evaluator.protocols.places import find_faces
from evaluator.protocols.plans import Cell, Plan, Step
from evaluator.protocols.records import Protocol
from focus.errors import InputError

JOURNAL = "steps.json"


def plan(protocol: Protocol, root: Path, out: Path, partial: bool = False) -> Plan:
    """Return what is to be done for a table; nothing is run and no picture is read.

    Args:
        protocol: the table.
        root: holds the corpora, see :func:`find_faces`.
        out: where everything goes; tables that share it share faces, networks and maps.
        partial: leave out the cells whose corpora are not there.
    """
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
    lost = dict.fromkeys(place.missing for place in places.values() if not place.here)
    return Plan(
        protocol,
        root,
        out,
        tuple(steps),
        tuple(dict.fromkeys(builder.evidence)),
        tuple(places.items()),
        (*lost, *builder.faults, *_lost_tools(steps)),
    )


def _lost_tools(steps: Sequence[Step]) -> list[str]:
    """Say which package is needed to cut faces, where there are faces to cut."""
    cuts = any(step.arguments[0] == "prepare" and not step.done for step in steps)
    if not cuts or find_spec("retinaface") is not None:
        return []
    return ["RetinaFace, which cuts the faces: pip install 'focus-forgery[retinaface]'"]


def sign(step: Step, root: Path, out: Path) -> tuple[str, str]:
    """Return the name of a step's output and its command, wherever root and out lie."""
    command = " ".join(step.words).replace(str(out), "OUT").replace(str(root), "ROOT")
    return step.output.relative_to(out).as_posix(), command


def read_journal(out: Path) -> dict[str, str]:
    """Return output -> command of the steps that were begun in a folder.

    Raises:
        InputError: the journal is damaged.
    """
    path = out / JOURNAL
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give another --out") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: is no journal of steps; give another --out")
    return found
