"""The cells of a grid: the ``evaluator run`` of each detector under each kind of maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from evaluator.comparison.options import CompareCommand
from evaluator.trial.command import parse_settings
from evaluator.trial.data import MAP_WORDS
from evaluator.trial.options import RunCommand
from focus.data.sources import Source, recall_source
from focus.errors import InputError
from focus.mapstore import MapReader


class GridCell(NamedTuple):
    """A trial of the grid."""

    model: str
    maps: str
    """Short name of the maps."""
    command: RunCommand

    @property
    def name(self) -> str:
        """Name of its row in tables."""
        return f"{self.model}, {self.maps}"

    @property
    def folder(self) -> Path:
        """Folder of the trial."""
        return self.command.out


def list_cells(command: CompareCommand) -> list[GridCell]:
    """Return the cells, by detector and then by maps, with checked names and settings.

    Without ``--data``, all cells use the faces recorded in the first map file.

    Raises:
        InputError: an unknown or repeated detector, setting or kind of maps, or no faces.
    """
    maps = _name_maps(command.maps)
    for name in command.model:
        if command.model.count(name) > 1:
            raise InputError(f"--model {name}: is given twice")
    source = _find_source(command, [path for path in maps.values() if path not in MAP_WORDS])
    cells = []
    for model in command.model:
        options = tuple(_options_of(command, model))
        for name, path in maps.items():
            out = command.out / model / name
            trial = replace(
                command.trial, model=model, maps=path, source=source, out=out, options=options
            )
            cells.append(GridCell(model, name, trial))
        parse_settings(cells[-1].command)
    return cells


def list_pairs(cells: Sequence[GridCell]) -> Iterator[tuple[GridCell, GridCell]]:
    """Yield the pairs whose difference is shown, each with its baseline second.

    The baseline is ``none``, else the first kind of maps, of the same detector; and the first
    detector under the same maps.
    """
    usual = next((cell.maps for cell in cells if cell.maps == "none"), cells[0].maps)
    for cell in cells:
        for other in cells:
            same_model = cell.model == other.model and other.maps == usual != cell.maps
            same_maps = cell.maps == other.maps and other.model == cells[0].model != cell.model
            if same_model or same_maps:
                yield cell, other


def _name_maps(words: Sequence[str]) -> dict[str, str]:
    """Return name -> map file, none, zeros or truth."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, path = word.partition("=")
        if word in MAP_WORDS:
            name, path = word, word
        elif not sign or Path(word).is_file():
            name, path = Path(word).stem, word
        if path not in MAP_WORDS and not Path(path).is_file():
            known = ", ".join(MAP_WORDS)
            raise InputError(f"--maps {word}: no such file; give a map file, {known}")
        if not name or "/" in name or name.startswith("."):
            raise InputError(f"--maps {word}: '{name}' cannot be the name of a folder")
        if name in found:
            raise InputError(f"--maps {word}: a second {name}; write NAME=FILE")
        found[name] = path
    return found


def _find_source(command: CompareCommand, files: Sequence[str]) -> Source:
    source = command.trial.source
    if source.data or not files:
        return source
    with MapReader(files[0]) as reader:
        return recall_source(reader.attributes, source, files[0], all_splits=True)


def _options_of(command: CompareCommand, model: str) -> Iterator[str]:
    """Yield the settings of a detector as NAME=VALUE."""
    for word in command.options:
        owner, dot, rest = word.partition("=")[0].partition(".")
        if not dot:
            yield word
        elif owner not in command.model:
            raise InputError(f"--options {word}: {owner} is not among --model")
        elif owner == model:
            yield rest + word[len(f"{owner}.{rest}") :]
