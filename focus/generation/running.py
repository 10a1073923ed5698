"""Generate a map file from an index."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from focus.data.faces import FaceDataset, Perturb
from focus.data.images import read_face
from focus.data.index import FaceIndex
from focus.data.loading import PREFETCH, build_loader, collate
from focus.data.sources import Source, describe_source
from focus.errors import InputError, UnreadableError, count_of
from focus.generation.options import GenerationConfig
from focus.generation.pipeline import Flight, Network, PartWriter
from focus.generation.processes import PATIENCE, await_parts, claim
from focus.generation.slots import SlotCollate
from focus.generators.contract import Generator
from focus.mapstore.merging import parse_shard
from focus.mapstore.writer import PART_ROWS, MapWriter
from focus.runtime import Progress, Runtime
from focus.types import REAL, Failure

QUIET = Runtime(quiet=True)


@dataclass(frozen=True)
class Report:
    """Result of :func:`generate`."""

    out: Path | str
    faces: int
    """Faces in the file."""
    made: int
    """Faces made by this run; the others existed already."""
    seconds: float
    failures: tuple[Failure, ...] = ()
    """Faces that could not be read and have no map."""

    def __str__(self) -> str:
        if not self.made and not self.failures:
            return f"{self.out}: {count_of(self.faces, 'face')}, already complete"
        there = f" ({self.faces - self.made} were there)" if self.faces != self.made else ""
        rate = self.made / max(self.seconds, 1e-9)
        return (
            f"{self.out}: {count_of(self.faces, 'face')}{there}, {self.seconds:.1f} "
            f"s, {rate:.1f} maps/s"
        )


def generate(
    index: FaceIndex,
    generator: Generator,
    out: Path | str,
    config: GenerationConfig = GenerationConfig(),
    runtime: Runtime = QUIET,
    *,
    name: str = "",
    source: Source = Source(),
    perturb: Perturb | None = None,
    part_rows: int = PART_ROWS,
) -> Report | None:
    """Write the maps of all faces of an index; resumes a stopped run.

    Under ``accelerate launch`` the parts of the file are divided among the processes, and the main
    one joins them.

    Args:
        index: the faces, in the order of the file.
        generator: makes scores and maps; moved to the device.
        out: the map file.
        config: settings.
        runtime: device, precision, quiet.
        name: name of the generator, recorded in the file.
        source: source of the faces, recorded in the file so that they can be found again.
        perturb: applied to every image first; recorded by its ``repr``.
        part_rows: faces in a part, the most that is lost in a crash.

    Returns:
        The result, or None in a process other than the main one.

    Raises:
        InputError: no face, or no readable one; a file or parts of another run; a map with NaN; a
            full disk; with ``on_error="stop"``, an unreadable face.
    """
    start = time.monotonic()
    _take_native_size(generator, index)
    attributes = _describe(index, generator, config, runtime, perturb)
    attributes |= {"generator": name or type(generator).__name__, **describe_source(source)}
    if config.shard and generator.input_spec.frames > 1 and not config.stills:
        raise InputError(
            f"--shard {config.shard}: clips would be cut at the borders of the shares; give each "
            "job an index of whole videos"
        )
    if config.mirror and generator.companion:
        raise InputError(f"--mirror: these maps come from the {generator.companion} of each face")
    index = _take_shard(index, config.shard)
    accelerator = runtime.accelerator()
    main, processes = accelerator.is_main_process, accelerator.num_processes

    def make() -> MapWriter:
        keep = {"overwrite": config.overwrite, "owner": main}
        return MapWriter(out, attributes, len(index), part_rows=part_rows, **keep)

    writer, missing = claim(accelerator, make)
    with writer:
        blocks = {b: range(b * part_rows, min((b + 1) * part_rows, len(index))) for b in missing}
        mine = {b: blocks[b] for b in missing[accelerator.process_index :: processes]}
        patience = PATIENCE
        if mine:
            spec = generator.input_spec
            faces = FaceDataset(
                index,
                spec.image_size,
                frames=spec.frames,
                stills=config.stills,
                companion=generator.companion,
                perturb=perturb,
            )
            place_of = faces.clips.place_of if faces.clips else lambda _: 0
            settings = (accelerator, config.real_maps, config.parts, place_of, config.mirror)
            network = Network(generator, *settings)
            if config.compile:
                network.compile()
            with _memory_hints(config), PartWriter(writer, mine) as parts:
                _make(faces, network, mine, config, parts, runtime.quiet or not main)
            patience = max(patience, 5 * parts.slowest)
        if not main:
            return None
        if processes > 1:
            await_parts(writer, missing, patience)
        if not writer.complete:
            writer.finish()
    failures = tuple(Failure(*failure) for failure in writer.failures)
    gone = {failure.row for failure in failures}
    made = sum(row not in gone for rows in blocks.values() for row in rows)
    return Report(Path(out), writer.faces, made, time.monotonic() - start, failures)


def _make(
    faces: FaceDataset,
    network: Network,
    blocks: Mapping[int, range],
    config: GenerationConfig,
    parts: PartWriter,
    quiet: bool,
) -> None:
    """Make some parts; fetch each batch while the device computes the next."""
    size = config.batch
    batches = [
        rows[start : start + size]
        for rows in blocks.values()
        for start in range(0, len(rows), size)
    ]
    plain = faces.clips is None and not faces.companion
    join = SlotCollate(size, PREFETCH, held=network.ahead + 1) if plain else collate
    pin = network.device.type == "cuda"
    loader = build_loader(faces, batches, config.workers, pin, join)
    total = sum(map(len, batches))
    with Progress(total, "generating", quiet=quiet) as progress:
        flights: deque[Flight] = deque()
        for batch in loader:
            if batch.failures and config.on_error == "stop":
                first = batch.failures[0]
                raise InputError(f"{first.key}: {first.reason}; --on-error skip leaves it out")
            flights.append(network.send(batch))
            if len(flights) > network.ahead:
                parts.add(*network.receive(flights.popleft()))
            progress.advance(len(batch.keys) + len(batch.failures))
        for flight in flights:
            parts.add(*network.receive(flight))


def _take_native_size(generator: Generator, index: FaceIndex) -> None:
    """Set the image size of a generator without one to that of the first readable face."""
    if generator.input_spec.image_size:
        return
    boxes = index.columns.get("box")
    for row, key in enumerate(index.keys):
        try:
            height, width = read_face(index.root, key, boxes[row] if boxes else "").shape[:2]
        except UnreadableError:
            continue
        spec = dataclasses.replace(generator.input_spec, image_size=min(height, width))
        generator.input_spec = spec
        return
    raise InputError(f"{index.root}: none of the {count_of(len(index), 'face')} can be read")


def _describe(
    index: FaceIndex,
    generator: Generator,
    config: GenerationConfig,
    runtime: Runtime,
    perturb: Perturb | None,
) -> dict[str, Any]:
    """Return the settings that determine the maps, as file attributes."""
    known = bool((index.labels == REAL).any())
    settings: dict[str, Any] = {"precision": runtime.precision, "keep_parts": config.parts}
    settings["image_size"] = generator.input_spec.image_size
    if config.mirror:
        settings["mirror"] = True
    if perturb is not None:
        settings["perturbation"] = repr(perturb)
    if generator.input_spec.frames > 1:
        settings |= {"frames": generator.input_spec.frames, "stills": config.stills}
    return {
        "config": {**generator.describe(), **settings},
        "weights_sha256": generator.weights_sha256,
        "index_fingerprint": index.fingerprint(),
        "real_maps": config.real_maps if known else "fake-class",
        "normalisation": generator.normalisation,
        "shard": config.shard,
    }


def _take_shard(index: FaceIndex, shard: str) -> FaceIndex:
    """Return the faces of shard ``I/N``: contiguous and of equal size, to be merged in order."""
    number, total = parse_shard(shard or "1/1")
    rows = np.arange((number - 1) * len(index) // total, number * len(index) // total)
    if not len(rows):
        share = f"share {shard} of " if shard else ""
        raise InputError(f"{share}{count_of(len(index), 'face')}: no face to make a map of")
    return index.take(rows) if shard else index


@contextmanager
def _memory_hints(config: GenerationConfig) -> Iterator[None]:
    """Turn an out-of-memory error of the GPU into an InputError with advice."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise InputError(f"--batch {config.batch} does not fit into the GPU; halve it") from None
