"""``focus renormalise``: normalise maps again from the tensors stored with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from focus.config import split_options
from focus.errors import InputError, count_of
from focus.generation.command import find_generator
from focus.generation.options import RenormaliseCommand
from focus.generators.contract import Generator, StoredParts
from focus.mapstore.reader import MapReader
from focus.mapstore.rows import PROVENANCE, Rows
from focus.mapstore.writer import MapWriter
from focus.types import FAKE, REAL

QUANTILE, FACES = 0.999, 1024
# A scale at which nothing is clipped, to measure the constant of ``global``.
UNCLIPPED = 2.0**40


def renormalise_command(command: RenormaliseCommand) -> None:
    """Run ``focus renormalise``.

    Raises:
        InputError: a file without parts, a generator that is not installed or cannot renormalise,
            or an --out that exists.
    """
    with MapReader(command.maps) as reader:
        if not reader.part_names:
            raise InputError(f"{command.maps}: has no parts; make it with focus generate --parts")
        attributes: dict[str, Any] = {name: reader.attributes[name] for name in PROVENANCE}
        kind, _ = find_generator(str(attributes["generator"]))
        settings = _settings(command, reader, kind)
        attributes |= {
            "normalisation": command.normalise,
            "config": {**settings, "renormalised_from": attributes["normalisation"]},
        }
        zeroed = attributes["real_maps"] == "zero"
        out = command.out
        if out.exists() and out.samefile(command.maps):
            raise InputError(f"--out {out}: is the input file; choose another")
        with MapWriter(out, attributes, overwrite=command.overwrite) as writer:
            if writer.complete:
                print(f"{out}: {count_of(writer.faces, 'face')}, already complete")
                return
            for rows, maps in _maps(reader, kind, settings, command.normalise):
                if zeroed:
                    maps[rows.labels == REAL] = 0
                writer.append(rows.keys, maps, rows.labels, rows.scores, rows.parts)
    scale = f", constant {settings['map_scale']:.4g}" if command.normalise == "global" else ""
    print(f"{out}: {count_of(writer.faces, 'face')}, {command.normalise}{scale}")


def _settings(
    command: RenormaliseCommand, reader: MapReader, kind: type[Generator]
) -> dict[str, Any]:
    """Return the generator's configuration, with the constant of ``global`` if needed."""
    try:
        settings = dict(json.loads(str(reader.attributes["config"]) or "{}"))
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{reader.path}: its attribute config is not a JSON object") from None
    if command.options:
        settings |= kind.changes(split_options(command.options))
    if command.map_scale:
        settings["map_scale"] = command.map_scale
    if command.normalise == "global" and not settings.get("map_scale"):
        settings["map_scale"] = _measure_scale(reader, kind, settings)
    return settings


def _measure_scale(reader: MapReader, kind: type[Generator], settings: Mapping[str, Any]) -> float:
    """Return the 99.9th percentile of the unscaled maps of at most 1,024 fakes."""
    fakes = np.flatnonzero(reader.labels == FAKE)
    if not len(fakes):
        raise InputError(f"{reader.path}: has no fake to measure the constant on; give --map-scale")
    rows = fakes[np.linspace(0, len(fakes) - 1, min(FACES, len(fakes))).astype(int)]
    parts = {name: torch.from_numpy(reader.read_part(name, rows)) for name in reader.part_names}
    scores = torch.from_numpy(reader.scores[rows])
    large = {**settings, "map_scale": UNCLIPPED}
    stored = StoredParts(parts, scores, _known_labels(reader, reader.labels[rows]))
    maps = kind.renormalise(stored, large, "global").double() * UNCLIPPED
    # The unit of a map depends on the generator, and may be tiny.
    return max(float(np.quantile(maps.numpy(), QUANTILE)), 1e-30)


def _maps(
    reader: MapReader, kind: type[Generator], settings: Mapping[str, Any], mode: str
) -> Iterator[tuple[Rows, np.ndarray]]:
    """Yield the file's rows with their new maps, float32 (n, h, w) in [0, 1]."""
    for rows in reader.blocks():
        parts = {name: torch.from_numpy(part) for name, part in rows.parts.items()}
        scores = torch.from_numpy(np.asarray(rows.scores))
        stored = StoredParts(parts, scores, _known_labels(reader, np.asarray(rows.labels)))
        maps = kind.renormalise(stored, settings, mode)
        yield rows, maps.clamp(0, 1).numpy()


def _known_labels(reader: MapReader, labels: np.ndarray) -> torch.Tensor | None:
    """Return the labels if maps may depend on them: in a file made as supervision."""
    return torch.from_numpy(labels) if reader.attributes["real_maps"] == "zero" else None
