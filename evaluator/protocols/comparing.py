"""Compare published numbers with ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evaluator.metrics import METRICS
from evaluator.protocols.plans import Evidence, Plan
from evaluator.protocols.records import CLEAN, COSTS, Column, Protocol, Row
from focus.cells import write_rows
from focus.errors import InputError
from focus.files import replace_file

WIDTH = 100
PARTS = {"ours": "value", "low": "low", "high": "high", "spread": "spread"}

Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """A cell of the table; numbers are in the paper's unit."""

    row: str
    column: str
    metric: str
    """Our name of the metric; empty if we have no equal metric."""
    published: float | None
    ours: float | None
    """Mean over seeds."""
    low: float | None
    high: float | None
    """Ends of our 95 % interval."""
    spread: float | None
    """Standard deviation over seeds; None for one seed."""
    decimals: int = 2
    """Decimals as printed in the paper."""

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        if self.ours is None or self.published is None:
            return None
        return self.ours - self.published

    @property
    def doubt(self) -> float | None:
        """Half the width of our 95 % interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def compare(protocol: Protocol, results: Results) -> list[Comparison]:
    """Return every cell of a table, row by row.

    Args:
        protocol: the table.
        results: name of a setting -> ``{"tests": {NAME: {"metrics": {METRIC: {"value": ...}}}}}``,
            as in ``result.json``; missing results give cells without our number.
    """
    found = []
    for row in protocol.rows:
        ours = {
            column.title: _look_up(protocol, row, column, results) for column in protocol.columns
        }
        for column, published in zip(protocol.columns, row.published, strict=True):
            value = ours[column.title]
            if column.average_of:
                value = _average([ours[title] for title in column.average_of])
            found.append(
                Comparison(
                    row.label,
                    column.title,
                    column.metric,
                    published,
                    **{name: _scale(value.get(part), column) for name, part in PARTS.items()},
                    decimals=4 if column.metric in METRICS and column.scale == 1 else 2,
                )
            )
    return found


def read_results(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return the results of finished steps, in the format of :func:`compare`.

    Raises:
        InputError: a result cannot be read.
    """
    results: dict[str, dict[str, Any]] = {}
    for evidence in plan.evidence:
        if evidence.path.is_file():
            tests = results.setdefault(evidence.setting, {"tests": {}})["tests"]
            tests[evidence.test] = {"metrics": _read(evidence)}
    return results


def format_comparison(rows: Sequence[Comparison]) -> str:
    """Return the table as text: published, ours, uncertainty and difference, a line each.

    The uncertainty is half the width of our 95 % interval. Methods without a number of ours have
    only the published line. Wide tables are split into blocks.
    """
    titles = list(dict.fromkeys(row.column for row in rows))
    labels = list(dict.fromkeys(row.row for row in rows))
    cells = {(row.row, row.column): row for row in rows}
    # The last word of a title is placed on a second line: "Deepfakes", "mIoU".
    heads = {title: (" ".join(title.split()[:-1]), title.split()[-1]) for title in titles}
    first = max(len(label) for label in labels)
    width = 2 + max(7, *(len(part) for head in heads.values() for part in head))
    beside = max(1, (WIDTH - first - 7) // width)
    lines: list[str] = []
    for start in range(0, len(titles), beside):
        block = titles[start : start + beside]
        upper, lower = ([heads[title][part] for title in block] for part in (0, 1))
        heading: list[list[str]] = [[], upper, lower] if any(upper) else [[], lower]
        lines += [(" " * (first + 7) + _right(line, width)).rstrip() for line in heading]
        for label in labels:
            lines += _lines(label, [cells[label, title] for title in block], first, width)
    return "\n".join(lines[1:])


def write_comparison(path: Path, rows: Sequence[Comparison]) -> None:
    """Write a CSV with a line per cell.

    Raises:
        InputError: the file cannot be written.
    """
    names = [field.name for field in fields(Comparison) if field.name != "decimals"]
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = ([*(getattr(row, name) for name in names), row.difference] for row in rows)
        write_rows(file, [*names, "difference"], lines)


def _lines(label: str, cells: Sequence[Comparison], first: int, width: int) -> Iterator[str]:
    """Yield published numbers of a row and, if available, ours and the differences."""
    values = {
        "paper": [cell.published for cell in cells],
        "ours": [cell.ours for cell in cells],
        "+-": [cell.doubt for cell in cells],
        "diff": [cell.difference for cell in cells],
    }
    if all(value is None for value in values["ours"]):
        values = {"paper": values["paper"]}
    for kind, found in values.items():
        sign = "+" if kind == "diff" else ""
        texts = [
            "-" if value is None else f"{value:{sign}.{cell.decimals}f}"
            for cell, value in zip(cells, found, strict=True)
        ]
        yield f"{label if kind == 'paper' else '':{first}}  {kind:5}{_right(texts, width)}"


def _right(texts: Sequence[str], width: int) -> str:
    return "".join(f"{text:>{width}}" for text in texts)


def _look_up(protocol: Protocol, row: Row, column: Column, results: Results) -> Mapping[str, Any]:
    """Return our metric of a cell; empty if missing."""
    setting = protocol.setting(row, column)
    if setting is None or setting.name not in results:
        return {}
    tests = results[setting.name].get("tests", {})
    metrics = tests.get(protocol.test_name(row, column), {}).get("metrics", {})
    return dict(metrics.get(column.metric, {}))


def _scale(value: float | None, column: Column) -> float | None:
    return None if value is None else column.scale * value


def _average(values: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    known = [value["value"] for value in values if value.get("value") is not None]
    return {"value": sum(known) / len(known)} if known and len(known) == len(values) else {}


def _read(evidence: Evidence) -> Mapping[str, Any]:
    """Return metrics by name from a result file."""
    try:
        found = json.loads(evidence.path.read_text(encoding="utf-8"))
        if evidence.form == "run":
            return found["tests"][evidence.test.split(":")[0]]["metrics"]
        if evidence.form == "judge":
            return next(iter(found["tests"].values()))["metrics"]
        if evidence.form == "cost":
            return {name: {"value": found[name]} for name in found if name in COSTS}
        if evidence.form == "robustness":
            kind = evidence.test.split(":")[1]
            return found[CLEAN] if kind == CLEAN else found["kinds"][kind]["mean"]
        return found["metrics"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{evidence.path}: not a valid result ({why}); delete it and re-run"
        ) from None
