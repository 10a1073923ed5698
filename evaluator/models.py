"""``evaluator models``: list installed detectors and generators, and whether each imports."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from evaluator.options import ModelsCommand
from focus.detectors import DETECTORS
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
    """Return name, kind, distribution, version and error (empty if none) of each, by kind and name.

    A name registered as both is listed once per kind; a trained detector also makes maps.
    Output printed by a module during import is redirected to standard error.
    """
    models = []
    for registry in REGISTRIES:
        for entry in registry.entries():
            error = ""
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    registry.get(entry.name)
            except InputError as reason:
                error = str(reason)
            models.append(
                {
                    "name": entry.name,
                    "kind": registry.noun,
                    "distribution": entry.distribution,
                    "version": entry.version,
                    "error": error,
                }
            )
    return models


def format_models(models: Sequence[dict[str, str]]) -> str:
    """Return the list as text: a block per kind; broken entries show the reason."""
    width = max(len(model["name"]) for model in models)
    lines: list[str] = []
    for kind in dict.fromkeys(model["kind"] for model in models):
        lines += ["", f"{kind}s"] if lines else [f"{kind}s"]
        for model in models:
            if model["kind"] == kind:
                origin = f"{model['distribution']} {model['version']}".strip()
                status = f"{origin}  BROKEN: {model['error']}" if model["error"] else origin
                lines.append(f"  {model['name']:{width}}  {status}")
    return "\n".join(lines)
