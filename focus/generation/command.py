"""``focus generate``: find the faces and the generator, and report the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from focus.config import split_options
from focus.data.remote import is_url, write_through
from focus.data.sources import check_source, open_crops
from focus.data.subject import list_mismatches
from focus.errors import CheckFailedError, InputError, count_of
from focus.generation.options import GenerateCommand
from focus.generation.running import generate
from focus.generators.contract import Generator
from focus.generators.registry import GENERATORS
from focus.mapstore.writer import errors_file
from focus.runtime import note, seed_everything

RUNS = Path("runs")
PRINTED_FAILURES = 20


def generate_command(command: GenerateCommand) -> None:
    """Run ``focus generate``.

    Raises:
        InputError: see :func:`generate`.
        CheckFailedError: some faces could not be read; the file is complete without them.
    """
    quiet = command.runtime.quiet
    check_source(command.source)  # report wrong names before anything is read
    find_generator(command.method)
    if is_url(command.out) and command.runtime.accelerator().num_processes > 1:
        raise InputError(f"--out {command.out}: a URL is written by one process; use --shard")
    options = split_options(command.options)
    if command.normalise:
        options["normalise"] = command.normalise
    seed_everything(command.runtime.seed)
    generator = load_generator(command.method, command.weights, options, quiet)
    known = generator.describe()
    margin = command.source.margin or float(known.get("trained_margin", 0))
    index, source = open_crops(replace(command.source, margin=margin), quiet)
    if source.crop != "faces":
        source = replace(source, margin=command.source.margin)
    for line in list_mismatches(known.get("trained_images"), index):
        note(f"warning: {line}", quiet)
    with write_through(command.out, command.overwrite) as out:
        try:
            name = command.method
            report = generate(
                index, generator, out, command, command.runtime, name=name, source=source
            )
        except KeyboardInterrupt:
            text = f"{command.out}: stopped; re-run the same command to resume from {out}.parts"
            raise KeyboardInterrupt(text) from None
    if report is None:
        return
    print(replace(report, out=command.out))
    if "trained_on" in known:
        note(f"by a model trained on: {known['trained_on']}", quiet)
    for failure in report.failures[:PRINTED_FAILURES]:
        note(f"  {failure.key}: {failure.reason}", quiet)
    if report.failures:
        total = report.faces + len(report.failures)
        raise CheckFailedError(
            f"{len(report.failures)} of {count_of(total, 'face')} could not be read and "
            "have no map; "
            f"{command.out.removesuffix(out.name)}{errors_file(out).name} lists them"
        )


def load_generator(
    method: str, weights: str = "", options: Mapping[str, str] | None = None, quiet: bool = True
) -> Generator:
    """Return a generator by name, with its weights.

    Args:
        method: a map generator, or a detector, whose own maps are used; see
            :func:`find_generator`.
        weights: run folder or file; empty: the newest finished run under ``runs/``, or without
            one the released model, if weights are needed.
        options: settings of the method.
        quiet: do not print which run was found.

    Raises:
        InputError: no such generator, no weights, or weights that do not fit.
    """
    kind, given = find_generator(method)
    given |= options or {}
    path = Path(weights) if weights else None
    if path is None and kind.requires_weights:
        made_by = getattr(kind, "kind", "")
        if not made_by:
            raise InputError(f"--weights is missing: --method {method} needs a run or weights file")
        from focus.runs import choose_weights  # imports timm, which takes two seconds

        path, origin = choose_weights(RUNS, made_by)
        note(f"weights: {path}, {origin}", quiet)
    return kind.load(path, given)


def find_generator(method: str) -> tuple[type[Generator], dict[str, str]]:
    """Return a generator's class, or one that wraps a detector of that name, and its options.

    ``NAME@T`` means ``NAME@`` with the option ``threshold=T``.

    Raises:
        InputError: an unknown name.
    """
    from focus.detectors import DETECTORS

    known = GENERATORS.names()
    name, sign, threshold = method.partition("@")
    if sign and threshold and method not in known and f"{name}@" in known:
        return GENERATORS.get(f"{name}@"), {"threshold": threshold}
    if method in known or method not in DETECTORS.names():
        return GENERATORS.get(method), {}
    from focus.generators.trained import TrainedGenerator

    return type(f"Trained_{method}", (TrainedGenerator,), {"kind": method}), {}
