"""``focus generate``: which faces, which generator, and what is said at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from focus.data.inputs import Source, open_source
from focus.errors import CheckFailedError, InputError
from focus.generation.running import GenerationConfig, errors_file, generate
from focus.generators.contract import Generator
from focus.generators.registry import get
from focus.runtime import Runtime, note, seed_everything

RUNS = Path("runs")
SPOKEN_FAILURES = 20


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(GenerationConfig):
    """Write the manipulation maps of faces into one file."""

    source: Source = field(default_factory=Source)
    """The faces."""
    out: str = "focus.h5"
    """The map file; the same command goes on where it was stopped."""
    method: str = "focus"
    """The generator."""
    weights: str = ""
    """A run folder or weights file; empty: the newest finished run under runs/."""
    normalise: str = ""
    """How maps reach [0, 1]; empty: as the run was configured."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""


def generate_command(command: GenerateCommand) -> None:
    """Run ``focus generate``.

    Raises:
        InputError: see :func:`generate`.
        CheckFailedError: some faces could not be read; the file is complete without them.
    """
    quiet = command.runtime.quiet
    index = open_source(command.source, quiet)
    seed_everything(command.runtime.seed)
    generator = load_generator(command.method, command.weights, command.normalise, quiet)
    try:
        report = generate(
            index,
            generator,
            command.out,
            command,
            command.runtime,
            name=command.method,
            source=command.source,
        )
    except KeyboardInterrupt:
        note(f"\n{command.out}: stopped; the same command goes on from {command.out}.parts", quiet)
        raise
    if report is None:
        return
    print(report)
    for failure in report.failures[:SPOKEN_FAILURES]:
        note(f"  {failure.key}: {failure.reason}", quiet)
    if report.failures:
        total = report.faces + len(report.failures)
        raise CheckFailedError(
            f"{len(report.failures)} of {total} faces could not be read and have no map; "
            f"{errors_file(report.out)} lists them"
        )


def load_generator(method: str, weights: str, normalise: str = "", quiet: bool = True) -> Generator:
    """Return a generator by name, with its weights.

    Args:
        method: a name of :func:`focus.generators.registry.names`.
        weights: run folder or file; empty: the newest finished run under ``runs/``, if one is
            needed.
        normalise: how maps reach [0, 1]; empty: the generator's own.
        quiet: do not name the run that was found.

    Raises:
        InputError: no such generator, no weights, or weights that do not fit.
    """
    kind = get(method)
    path = Path(weights) if weights else None
    if path is None and kind.requires_weights:
        made_by = getattr(kind, "kind", "")
        if not made_by:
            raise InputError(f"--weights is missing: --method {method} needs a file of weights")
        from focus.network.runs import newest_run  # imports timm, which takes two seconds

        path = newest_run(RUNS, made_by)
        note(f"weights: {path}, the newest finished run", quiet)
    return kind.load(path, {"normalise": normalise} if normalise else {})
