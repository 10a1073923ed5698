"""Pages of the site that are made from the code: commands, Python API, detectors, tables."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import evaluator.cli
import evaluator.metrics
import focus.cli
from evaluator.models import list_models
from evaluator.protocols import PROTOCOLS, Protocol
from focus.arguments import Entry, describe
from focus.commands import Command, load

PROGRAMS = {"focus": focus.cli.COMMANDS, "evaluator": evaluator.cli.COMMANDS}
PACKAGES = ("focus", "plugins")


def command_pages() -> dict[str, str]:
    """Return a page for each command, and the list of all."""
    pages = {"commands/index.md": _list_commands()}
    for program, commands in PROGRAMS.items():
        for name, command in commands.items():
            pages[f"commands/{program}-{name}.md"] = _command_page(program, name, command)
    return pages


def _list_commands() -> str:
    lines = ["# All commands", "", "Errors are one line: what, where, and how to fix it.", ""]
    for program, commands in PROGRAMS.items():
        lines += [f"## {program}", "", "| command | |", "|---|---|"]
        lines += [
            f"| [{program} {name}]({program}-{name}.md) | {_escape(command.summary)} |"
            for name, command in commands.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _command_page(program: str, name: str, command: Command) -> str:
    lines = [f"# {program} {name}", "", f"{_sentence(command.summary)}", ""]
    lines += ["```bash", command.example, "```", ""]
    if command.recipes:
        lines += ["The first word is a recipe; flags change single values of it.", ""]
        lines += ["| recipe | |", "|---|---|"]
        lines += [
            f"| `{key}` | {_escape(each[0])} |" for key, each in load(command.recipes).items()
        ]
        lines.append("")
    positional = "" if command.recipes else command.words
    for group, entries in describe(load(command.config), positional).items():
        lines += [f"## {group.capitalize()}", "", "| flag | |", "|---|---|"]
        lines += [_flag_row(entry) for entry in entries]
        lines.append("")
    return "\n".join(lines)


def _flag_row(entry: Entry) -> str:
    values = f" `{_escape(entry.values)}`" if entry.values else ""
    return f"| `{entry.name}`{values} | {_escape(entry.text)} |"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def module_pages() -> dict[str, str]:
    """Return the pages of the Python API, for mkdocstrings."""
    pages = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        lines = [f"# {package}", "", _first_paragraph(module), ""]
        lines += [f"::: {path}\n" for path in public_paths(package)]
        pages[f"api/{package}.md"] = "\n".join(lines)
    pages["api/targets.md"] = _module_page("plugins.targets")
    for name in metric_modules():
        pages[f"api/{name.rpartition('.')[2]}.md"] = _module_page(name)
    return pages


def public_paths(package: str) -> list[str]:
    """Return where each public object of a package is defined, in the order of ``__all__``."""
    module = importlib.import_module(package)
    names = [name for name in module.__all__ if not name.startswith("__")]
    return [_path(package, name, getattr(module, name)) for name in names]


def _path(package: str, name: str, found: Any) -> str:
    if hasattr(found, "__qualname__"):  # a class, function or method
        return f"{found.__module__}.{found.__qualname__}"
    tree = ast.parse(inspect.getsource(importlib.import_module(package)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    source = next(node for node in imports if name in {alias.name for alias in node.names})
    return f"{source.module}.{name}"


def metric_modules() -> list[str]:
    """Return the modules of the metrics."""
    package = evaluator.metrics
    return [f"{package.__name__}.{each.name}" for each in pkgutil.iter_modules(package.__path__)]


def _module_page(name: str) -> str:
    options = "    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
    return f"# {name}\n\n::: {name}\n{options}"


def _first_paragraph(module: ModuleType) -> str:
    return (module.__doc__ or "").split("\n\n")[0].replace("``", "`")


def detectors_page() -> str:
    """Return the list of detectors and generators, as ``evaluator models`` prints it."""
    lines = ["# Detectors and generators", ""]
    lines += ["The list of `evaluator models`; packages of other people add theirs.", ""]
    models = [model | {"needs": model["error"] or model["needs"]} for model in list_models()]
    for kind in dict.fromkeys(model["kind"] for model in models):
        rows = [model for model in models if model["kind"] == kind]
        fields = [
            field
            for field in ("paper", "output", "needs", "start")
            if any(model[field] for model in rows)
        ]
        lines += [f"## {kind.capitalize()}s", "", _row(["name", *fields])]
        lines.append(_row(["---"] * (len(fields) + 1)))
        lines += [
            _row([f"`{model['name']}`", *(_escape(model[field]) for field in fields)])
            for model in rows
        ]
        lines.append("")
    return "\n".join(lines)


def tables_page() -> str:
    """Return the papers' tables with their published numbers."""
    lines = ["# The papers' tables", ""]
    lines += [
        "Published numbers, as printed. `evaluator protocol NAME --root DIR --out OUT` measures",
        "the same cells on a machine that has the data and prints ours beside them; see",
        "[evaluation](evaluation.md). A dash: not printed, or unreadable in the available text.",
        "",
    ]
    for protocol in PROTOCOLS.values():
        lines += _table(protocol)
    return "\n".join(lines)


def _table(protocol: Protocol) -> Iterator[str]:
    yield f"## {protocol.name}"
    yield f"\n{_sentence(protocol.title)} {_escape(protocol.source)}.\n"
    yield _row(["", *(_escape(column.title) for column in protocol.columns)])
    yield _row(["---", *["---:"] * len(protocol.columns)])
    for row in protocol.rows:
        values = ["-" if value is None else f"{value:g}" for value in row.published]
        yield _row([_escape(row.label), *values])
    yield ""
    yield from (f"* {_escape(note)}" for note in protocol.notes)
    yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
