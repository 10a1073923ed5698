"""``evaluator robustness``: generate a map file per corruption and level, and compare them."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluator.perturbations import KINDS, Perturbation
from evaluator.perturbations.deeperforensics import FRAME_UNIT
from evaluator.robustness.choosing import choose_faces
from evaluator.robustness.curves import draw_curves
from evaluator.robustness.judging import judge, parameter_of
from evaluator.robustness.options import CLEAN, Condition, RobustnessCommand
from evaluator.robustness.report import describe, format_tables, write_csv
from focus.config import split_options
from focus.data.images import UnreadableError, read_face
from focus.data.index import FaceIndex
from focus.data.sources import Source, open_source, reopen
from focus.errors import CheckFailedError, InputError, count_of
from focus.files import replace_file
from focus.generation import GenerationConfig, generate, load_generator
from focus.generators.contract import Generator
from focus.mapstore import MapReader
from focus.mapstore.writer import errors_file
from focus.runtime import note, seed_everything

FACES = "robustness-faces.csv"
_LOOKED_AT = 16


def robustness_command(command: RobustnessCommand) -> None:
    """Run ``evaluator robustness``.

    Raises:
        InputError: as in :func:`open_model` and :func:`focus.generation.generate`; or there are no
            labelled faces.
        CheckFailedError: some images or masks could not be read; the rest was evaluated.
    """
    quiet, seed = command.runtime.quiet, command.runtime.seed
    conditions = command.conditions()
    seed_everything(seed)
    name, generator, index, source = open_model(command)
    index, notes = choose_faces(index, source, command.sample)
    notes += _note_blocks(index, conditions)
    for line in notes:
        note(f"note: {line}", quiet)
    out = command.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be created ({error.strerror})") from None
    # Written beside the maps, so that evaluator score and focus view find exactly their faces.
    index.write(out / FACES)
    faces = Source(str(out / FACES), index.root.resolve())
    if not make_maps(command, conditions, name, generator, index, faces):
        return
    with ExitStack() as stack:
        readers = {
            condition: stack.enter_context(MapReader(map_file(out, condition)))
            for condition in conditions
        }
        kept = np.array([all(key in reader for reader in readers.values()) for key in index.keys])
        judged = index.take(kept)
        device = command.runtime.accelerator().device
        judgement = judge(judged, readers, command.draws, seed, device, quiet)
        origin = {**readers[CLEAN].attributes, "data": source.data, "root": str(source.root or "")}
    result = describe(judgement, judged, origin, notes, command.draws, seed)
    with replace_file(out / "robustness.json") as path:
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(f"{text}\n", encoding="utf-8")
    with replace_file(out / "robustness.csv") as path:
        write_csv(result, path)
    with replace_file(out / "robustness.png") as path:
        draw_curves(result, path)
    print(format_tables(result))
    _check_read(index, judged, out, judgement.failures)


def open_model(command: RobustnessCommand) -> tuple[str, Generator, FaceIndex, Source]:
    """Return the generator and its name, and the faces with their source.

    Raises:
        InputError: no generator or map file was given, the weights are missing or differ from
            those of the map file, or the faces are missing.
    """
    quiet, options = command.runtime.quiet, split_options(command.options)
    source = command.source
    if not command.maps:
        name = command.model or command.method
        if not name:
            raise InputError("missing: --model NAME, or --maps FILE with --weights RUN")
        index = open_source(source, quiet)
        return name, load_generator(name, command.weights, options, quiet), index, source
    with MapReader(command.maps) as reader:
        made = {key: str(value) for key, value in reader.attributes.items()}
    name, digest = made["generator"], made["weights_sha256"]
    if digest and not command.weights:
        raise InputError(
            f"--weights is missing: {command.maps} was made by {name} and records only the hash"
            f" of its weights ({digest[:12]})"
        )
    index = reopen(made, source, command.maps)
    if not source.data:
        root = source.root or (Path(made["root"]) if made["root"] else None)
        source = replace(source, data=made["data"], root=root)
    generator = load_generator(name, command.weights, options, quiet)
    if generator.weights_sha256 != digest:
        raise InputError(f"--weights {command.weights}: not the weights that made {command.maps}")
    if generator.normalisation != made["normalisation"] and "normalise" not in options:
        options["normalise"] = made["normalisation"]
        generator = load_generator(name, command.weights, options, quiet)
    return name, generator, index, source


def make_maps(
    command: RobustnessCommand,
    conditions: list[Condition],
    name: str,
    generator: Generator,
    index: FaceIndex,
    source: Source,
) -> bool:
    """Generate missing map files; return whether this process should evaluate them.

    Raises:
        InputError: as in :func:`focus.generation.generate`.
    """
    runtime, config = (
        command.runtime,
        GenerationConfig(
            batch=command.batch,
            workers=command.workers,
            real_maps="fake-class",
            overwrite=command.overwrite,
            stills=command.stills,
        ),
    )
    report = None
    for place, condition in enumerate(conditions, 1):
        if condition != CLEAN:
            strength = f" ({KINDS[condition.kind].meaning} {parameter_of(condition):g})"
            perturb = Perturbation(*condition, seed=runtime.seed)
        else:
            strength, perturb = "", None
        note(f"{place}/{len(conditions)} {condition}{strength}", runtime.quiet)
        report = generate(
            index,
            generator,
            map_file(command.out, condition),
            config,
            runtime,
            name=name,
            source=source,
            perturb=perturb,
        )
    return report is not None


def map_file(out: Path, condition: Condition) -> Path:
    """Return the path of the map file of a condition."""
    return out / f"{condition}.h5"


def _note_blocks(index: FaceIndex, conditions: list[Condition]) -> list[str]:
    """Return a note if the images are too small for the block rule of whole frames."""
    if not any(condition.kind == "block" for condition in conditions):
        return []
    boxes, sides = index.column("box"), []
    for row in np.linspace(0, len(index) - 1, min(len(index), _LOOKED_AT)).astype(int):
        with suppress(UnreadableError):
            sides.append(min(read_face(index.root, index.keys[row], boxes[row]).shape[:2]))
    if not sides or max(sides) >= FRAME_UNIT:
        return []
    return [
        f"block is for whole frames and changes nothing on images below {FRAME_UNIT} px, such as"
        " these; use block-crop instead in --corruptions"
    ]


def _check_read(
    index: FaceIndex, judged: FaceIndex, out: Path, failures: tuple[object, ...]
) -> None:
    faults = []
    if gone := len(index) - len(judged):
        faults.append(
            f"{count_of(gone, 'image')} could not be read ({errors_file(map_file(out, CLEAN))})"
        )
    if failures:
        faults.append(
            f"{count_of(len(failures), 'mask')} could not be read (listed in robustness.json)"
        )
    if faults:
        raise CheckFailedError(f"{' and '.join(faults)}; the rest was evaluated")
