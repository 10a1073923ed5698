"""``evaluator models``: list installed detectors and generators, and whether each imports."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from evaluator.options import ModelsCommand
from focus.detectors import DETECTORS, Summary
from focus.errors import InputError
from focus.generators.registry import GENERATORS
from focus.output import present
from focus.registry import Registry
from focus.runtime import note

REGISTRIES: tuple[Registry[Any], ...] = (DETECTORS, GENERATORS)


def models_command(command: ModelsCommand) -> None:
    """Print the list; write JSON if requested.

    Raises:
        InputError: the JSON file cannot be written.
    """
    models = list_models()
    present(models, format_models(models), command.json)
    broken = sum(model["error"] != "" for model in models)
    if broken:
        note(f"{broken} of {len(models)} cannot be used", command.runtime.quiet)


def list_models() -> list[dict[str, str]]:
    """Return a dictionary of texts for each, by kind and name.

    name, kind, distribution, version, error (empty if none), and the fields of the detector's
    :class:`~focus.detectors.Summary`, empty if it has none. A name registered as both is listed
    once per kind; a trained detector also makes maps.
    Output printed by a module during import is redirected to standard error.
    """
    models = []
    for registry in REGISTRIES:
        for entry in registry.entries():
            error, found = "", None
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    found = getattr(registry.get(entry.name), "summary", None)
            except InputError as reason:
                error = str(reason)
            summary = found if isinstance(found, Summary) else Summary()
            models.append(
                {
                    "name": entry.name,
                    "kind": registry.noun,
                    "distribution": entry.distribution,
                    "version": entry.version,
                    "error": error,
                    **summary._asdict(),
                }
            )
    return models


def format_models(models: Sequence[dict[str, str]]) -> str:
    """Return the list as text: a block per kind, a line each with its summary or its fault."""
    width = max(len(model["name"]) for model in models)
    lines: list[str] = []
    for kind in dict.fromkeys(model["kind"] for model in models):
        lines += ["", f"{kind}s"] if lines else [f"{kind}s"]
        for model in models:
            if model["kind"] == kind:
                origin = f"{model['distribution']} {model['version']}".strip()
                status = f"BROKEN: {model['error']}" if model["error"] else _summarise(model)
                lines.append(f"  {model['name']:{width}}  {origin}  {status}".rstrip())
    return "\n".join(lines)


def _summarise(model: dict[str, str]) -> str:
    words = {"paper": "", "output": "", "needs": "needs ", "start": "from "}
    return "; ".join(word + model[field] for field, word in words.items() if model[field])
