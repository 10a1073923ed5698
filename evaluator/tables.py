"""``evaluator table``: results side by side, the best in bold only where its interval allows it."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evaluator.metrics import METRICS, PRIOR
from focus.errors import InputError, printable
from focus.runtime import Runtime

RESULT = "result.json"
LOWER_IS_BETTER = frozenset({"frame_eer", "fp_area_real"})
PRIOR_NAME = "place prior"


@dataclass(frozen=True)
class TableCommand:
    """Set results side by side: a row per result, a column per metric."""

    results: tuple[str, ...]
    """Result files (JSON), each as FILE or NAME=FILE, or folders that hold a result.json."""
    metrics: tuple[str, ...] = ()
    """Metrics to show, in this order; all that any result has unless given."""
    format: Literal["md", "csv", "latex", "html"] = "md"
    """How to write it."""
    runtime: Runtime = field(default_factory=Runtime)
    """Flags that every command has."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown:
            raise InputError(
                f"--metrics {unknown[0]}: no such metric; there are {', '.join(METRICS)}"
            )


@dataclass(frozen=True)
class Row:
    """A result's name and its metrics, as the contract names them."""

    name: str
    metrics: Mapping[str, Mapping[str, Any]]


def table_command(command: TableCommand) -> None:
    """Print the table.

    Raises:
        InputError: a result that cannot be read, or none that has a metric asked for.
    """
    rows = with_prior([row for text in command.results for row in read_result(text)])
    shown = command.metrics or tuple(
        name for name in METRICS if name not in PRIOR and any(is_known(row, name) for row in rows)
    )
    if not any(is_known(row, name) for row in rows for name in shown):
        raise InputError(f"no result has a value of {', '.join(shown) or 'any metric'}")
    print(FORMATS[command.format](rows, shown), end="")


def read_result(text: str) -> list[Row]:
    """Read a result: FILE, NAME=FILE or a folder; a row per test set where it has several.

    Raises:
        InputError: it cannot be read, or holds no metrics.
    """
    name, _, given = text.rpartition("=")
    path = Path(given)
    path = path / RESULT if path.is_dir() else path
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        tests = result.get("tests") or {"": result}
        found = {
            printable(test): {key: _check_metric(value) for key, value in judged["metrics"].items()}
            for test, judged in tests.items()
        }
    except OSError as error:
        raise InputError(f"{path}: cannot read the result ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        hint = "evaluator score --json FILE makes one"
        raise InputError(f"{path}: holds no metrics; {hint}") from None
    name = name or (path.parent.name if path.name == RESULT else path.stem)
    if len(found) == 1:
        return [Row(name, metrics) for metrics in found.values()]
    return [Row(f"{name}: {test}", metrics) for test, metrics in found.items()]


def _check_metric(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric; raise ValueError if its value, or an end of its interval, is no number."""
    for part in ("value", "low", "high"):
        number = found.get(part)
        if number is not None and (isinstance(number, bool) or not math.isfinite(number)):
            raise ValueError(part)
    return dict(found)


def with_prior(rows: Sequence[Row]) -> list[Row]:
    """Add the place prior as a row of its own, under the names of the metrics it stands beside."""
    prior: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        for name in PRIOR:
            if is_known(row, name):
                prior.setdefault(name.removeprefix("prior_"), row.metrics[name])
    return [*rows, Row(PRIOR_NAME, prior)] if prior else list(rows)


def best(rows: Sequence[Row], metric: str) -> int | None:
    """Return which row is the best beyond doubt: its interval touches no other's."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    spans = []
    for place, row in enumerate(rows):
        if is_known(row, metric):
            found = row.metrics[metric]
            ends = [
                sign * (found["value"] if found.get(end) is None else found[end])
                for end in ("low", "high")
            ]
            spans.append((min(ends), max(ends), place))
    if len(spans) < 2:
        return None
    leader = max(spans)
    clear = all(other[1] < leader[0] for other in spans if other is not leader)
    return leader[2] if clear else None


def to_markdown(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a Markdown table, its columns aligned for the terminal too."""
    cells = [["", *metrics], *_cells(rows, metrics, "**{}**")]
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def to_csv(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a CSV with value, low and high of each metric as numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = ("value", "low", "high")
    writer.writerow(["name", *(f"{name}_{part}" for name in metrics for part in parts)])
    for row in rows:
        found = [row.metrics.get(name, {}) for name in metrics]
        writer.writerow([row.name, *(value.get(part) for value in found for part in parts)])
    return text.getvalue()


def to_latex(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a LaTeX tabular (with booktabs)."""

    def escape(text: str) -> str:
        return (
            text.replace("\\", r"\textbackslash{}")
            .replace("_", r"\_")
            .replace("%", r"\%")
            .replace("&", r"\&")
        )

    lines = [[escape(cell) for cell in line] for line in [["", *metrics]]]
    lines += [[escape(line[0]), *line[1:]] for line in _cells(rows, metrics, r"\textbf{{{}}}")]
    head, *body = [" & ".join(line) + r" \\" for line in lines]
    columns = "l" + "r" * len(metrics)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def to_html(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return an HTML table."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ["", *metrics])
    body = [
        f"<tr><th>{html.escape(line[0])}</th>"
        + "".join(f"<td>{cell}</td>" for cell in line[1:])
        + "</tr>"
        for line in _cells(rows, metrics, "<b>{}</b>")
    ]
    return "\n".join(["<table>", f"<tr>{head}</tr>", *body, "</table>", ""])


FORMATS = {"md": to_markdown, "csv": to_csv, "latex": to_latex, "html": to_html}


def is_known(row: Row, metric: str) -> bool:
    """Say whether a result has a value of a metric."""
    return row.metrics.get(metric, {}).get("value") is not None


def _cells(rows: Sequence[Row], metrics: Sequence[str], bold: str) -> list[list[str]]:
    """Return names and formatted values: three decimals and, behind them, the interval."""
    leaders = {metric: best(rows, metric) for metric in metrics}
    return [
        [
            row.name,
            *(_cell(row, name, bold if leaders[name] == place else "{}") for name in metrics),
        ]
        for place, row in enumerate(rows)
    ]


def _cell(row: Row, metric: str, shape: str) -> str:
    if not is_known(row, metric):
        return "-"
    found = row.metrics[metric]
    text = shape.format(f"{found['value']:.3f}")
    if found.get("low") is None or found.get("high") is None:
        return text
    return f"{text} ({found['low']:.3f} to {found['high']:.3f})"
