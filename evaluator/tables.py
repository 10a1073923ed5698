"""``evaluator table``: results side by side, with the clearly best value in bold."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

from evaluator.metrics import DETECTION, HEADLINE, METRICS, PRIOR
from evaluator.pages import Content, build_page, element, table
from focus.cells import write_rows
from focus.errors import InputError, count_of, printable
from focus.metric_names import describe_metric
from focus.runtime import QuietFlag, note

RESULT = "result.json"
ALL = "all"
PRIOR_NAME = "place prior"
LEGEND = "Bold: clearly best, its 95 % interval touches no other over the same faces."
_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "_%&#${}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "\n": " ",
    }
)
"""Letters outside ASCII stay: LaTeX has read UTF-8 since 2018."""


@dataclass(frozen=True)
class TableCommand:
    """Print a table of results: a row per result, a column per metric."""

    results: tuple[str, ...]
    """Result files (JSON), each as FILE or NAME=FILE, or folders with a result.json."""
    columns: tuple[str, ...] = ()
    """Metrics to show, in this order, or all. Default: the eight that are asked for most."""
    format: Literal["md", "csv", "latex", "html"] = "md"
    """Output format."""
    runtime: QuietFlag = field(default_factory=QuietFlag)

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in METRICS]
        if unknown and self.columns != (ALL,):
            raise InputError(
                f"--columns {unknown[0]}: unknown metric (choose from {', '.join(METRICS)}, or all)"
            )


@dataclass(frozen=True)
class Row:
    """A result's name and its metrics, by the names of the contract."""

    name: str
    metrics: Mapping[str, Mapping[str, Any]]
    sets: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of the faces behind the metrics of ``scores`` and of ``maps``."""
    missing: int = 0
    """Faces without a prediction that were left out."""

    def faces_of(self, metric: str) -> str:
        """Return the fingerprint of the faces that a metric is over; empty if unknown."""
        return self.sets.get("scores" if metric in DETECTION else "maps", "")


def table_command(command: TableCommand) -> None:
    """Print the table.

    Raises:
        InputError: a result cannot be read, or no result has any of the requested metrics.
    """
    rows = with_prior([row for text in command.results for row in read_result(text)])
    shown = choose_columns(rows, command.columns)
    if not any(is_known(row, name) for row in rows for name in shown):
        raise InputError(f"no result has a value for {', '.join(shown) or 'any metric'}")
    print(FORMATS[command.format](mark_sets(rows), shown), end="")
    for line in describe_sets(rows):
        note(f"note: {line}", command.runtime.quiet)
    hidden = len(set(choose_columns(rows, (ALL,))) - set(shown))
    if hidden and not command.columns:
        columns = count_of(hidden, "more column")
        note(f"note: {columns} with --columns all", command.runtime.quiet)


def choose_columns(rows: Sequence[Row], given: Sequence[str] = ()) -> Sequence[str]:
    """Return the metrics to show: those given, all known ones, or the known ones of HEADLINE."""
    if given and tuple(given) != (ALL,):
        return given
    known = [
        name for name in METRICS if name not in PRIOR and any(is_known(row, name) for row in rows)
    ]
    return known if given else [name for name in HEADLINE if name in known] or known


def read_result(text: str) -> list[Row]:
    """Read a result (FILE, NAME=FILE or a folder); return one row per test set.

    The result of ``evaluator robustness`` has a row per corruption (mean over its levels) and one
    for clean images; faces under different corruptions count as different faces.

    Raises:
        InputError: the file cannot be read or contains no metrics.
    """
    # A path may contain "=".
    name, _, given = ("", "", text) if Path(text).exists() else text.rpartition("=")
    path = Path(given)
    path = path / RESULT if path.is_dir() else path
    found = read_tests(path)
    name = name or (path.parent.name if path.name == RESULT else path.stem)
    if len(found) == 1:
        return [replace(row, name=name) for row in found.values()]
    return [replace(row, name=f"{name}: {test}") for test, row in found.items()]


def read_tests(path: Path) -> dict[str, Row]:
    """Read a result file; return a row, without a name, for every test set.

    Raises:
        InputError: the file cannot be read or contains no metrics.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        tests = _list_conditions(result) if "kinds" in result else result.get("tests")
        tests = tests or {"": result}
        return {printable(test): _read_row(judged) for test, judged in tests.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot read the result ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        hint = "evaluator score --json FILE writes such a file"
        raise InputError(f"{path}: contains no metrics ({hint})") from None


def _list_conditions(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the parts of a robustness result as test sets: clean, then the mean of each kind."""
    sets = result.get("sets", {})
    found: dict[str, Mapping[str, Any]] = {"clean": {"metrics": result["clean"], "sets": sets}}
    for kind, judged in result["kinds"].items():
        condition = " ".join([kind, *(str(level["level"]) for level in judged["levels"])])
        own = {name: f"{faces} {condition}" if faces else "" for name, faces in sets.items()}
        found[kind] = {"metrics": judged["mean"], "sets": own}
    return found


def _read_row(judged: Mapping[str, Any]) -> Row:
    """Return the result of a test set, without a name; raise ValueError if it is invalid."""
    metrics = {key: _check_metric(value) for key, value in judged["metrics"].items()}
    sets = {str(name): printable(str(value)) for name, value in judged.get("sets", {}).items()}
    coverage = judged.get("coverage", {})
    left_out = [coverage.get(name, {}) for name in ("missing", "without_score")]
    counted = coverage.get("rule") == "wrong"
    missing = 0 if counted else sum(int(n) for counts in left_out for n in counts.values())
    return Row("", metrics, sets, missing)


def _check_metric(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric; raise ValueError if its value or a bound is not a finite number."""
    for part in ("value", "low", "high"):
        number = found.get(part)
        if number is not None and (isinstance(number, bool) or not math.isfinite(number)):
            raise ValueError(part)
    return dict(found)


def with_prior(rows: Sequence[Row]) -> list[Row]:
    """Add the place prior as a separate row, under the names of the corresponding metrics."""
    prior: dict[str, Mapping[str, Any]] = {}
    sets: Mapping[str, str] = {}
    for row in rows:
        for name in PRIOR:
            if is_known(row, name):
                sets = sets or row.sets
                prior.setdefault(name.removeprefix("prior_"), row.metrics[name])
    return [*rows, Row(PRIOR_NAME, prior, sets)] if prior else list(rows)


def best(rows: Sequence[Row], metric: str) -> set[int]:
    """Return the rows that are clearly best among those over the same faces.

    A row is clearly best if its interval does not touch any other. Rows over different faces are
    not compared. A row without an interval is best only if no other row has one either.
    """
    known = [place for place, row in enumerate(rows) if is_known(row, metric)]
    groups: dict[str, list[int]] = {}
    for place in known:
        groups.setdefault(rows[place].faces_of(metric), []).append(place)
    leaders = (_best_of(rows, places, metric) for places in groups.values())
    return {place for place in leaders if place is not None}


def _best_of(rows: Sequence[Row], places: Sequence[int], metric: str) -> int | None:
    sign = -1 if describe_metric(metric).lower_is_better else 1
    spans = []
    for place in places:
        found = rows[place].metrics[metric]
        whole = _has_interval(rows[place], metric)
        ends = [sign * found[end if whole else "value"] for end in ("low", "high")]
        spans.append((min(ends), max(ends), place))
    if len(spans) < 2:
        return None
    leader = max(spans)
    clear = all(other[1] < leader[0] for other in spans if other is not leader)
    if not _has_interval(rows[leader[2]], metric):
        clear &= not any(_has_interval(rows[place], metric) for place in places)
    return leader[2] if clear else None


def _has_interval(row: Row, metric: str) -> bool:
    found = row.metrics[metric]
    return found.get("low") is not None and found.get("high") is not None


def mark_sets(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with a letter after each name if they are over different faces."""
    groups = _group_sets(rows)
    if len(groups) < 2:
        return list(rows)
    marks = {place: _letter(n) for n, places in enumerate(groups.values()) for place in places}
    return [replace(row, name=f"{row.name} [{marks[place]}]") for place, row in enumerate(rows)]


def describe_sets(rows: Sequence[Row]) -> list[str]:
    """Return notes on the faces: missing predictions, and rows over different faces."""
    groups = _group_sets(rows)
    lines = [
        f"{row.name}: {count_of(row.missing, 'face')} without a prediction left out"
        for row in rows
        if row.missing
    ]
    lines += [
        f"{row.name}: its seeds are over different faces"
        for row in rows
        if any("+" in faces for faces in row.sets.values())
    ]
    if len(groups) > 1:
        lines.append("rows with different letters are over different faces and are not compared")
    return lines


def _group_sets(rows: Sequence[Row]) -> dict[tuple[str, ...], list[int]]:
    """Return fingerprints -> rows; a result without scores or maps joins the first match."""
    kinds = [kind for kind in ("scores", "maps") if any(row.sets.get(kind) for row in rows)]
    groups: dict[tuple[str, ...], list[int]] = {}
    prints = [tuple(row.sets.get(kind, "") for kind in kinds) for row in rows]
    for place in sorted(range(len(rows)), key=lambda place: prints[place].count("")):
        own = prints[place]
        pairs = ((known, zip(own, known, strict=True)) for known in groups if any(own))
        fits = (known for known, both in pairs if all(a in ("", b) for a, b in both))
        groups.setdefault(next(fits, own), []).append(place)
    return dict(sorted(groups.items(), key=lambda item: min(item[1])))


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else str(number + 1)


def to_markdown(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a Markdown table, with columns aligned for a terminal."""
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
    """Return a CSV with the value, low and high of each metric as numbers."""
    text = io.StringIO()
    columns = [(name, part) for name in metrics for part in ("value", "low", "high")]
    lines = ([row.name, *(row.metrics.get(m, {}).get(p) for m, p in columns)] for row in rows)
    write_rows(text, ["name", *map("_".join, columns)], lines)
    return text.getvalue()


def to_latex(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a LaTeX tabular (with booktabs)."""
    lines = [[name.translate(_LATEX) for name in ("", *metrics)]]
    cells = _cells(rows, metrics, r"\textbf{{{}}}")
    lines += [[line[0].translate(_LATEX), *line[1:]] for line in cells]
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
    """Return a page with the table, in the style of the report of a trial."""
    return build_page("Results", count_of(len(rows), "result"), [draw_table(rows, metrics)], LEGEND)


def draw_table(rows: Sequence[Row], metrics: Sequence[str]) -> Element:
    """Return an HTML table; each column has the metric's plain name, and its meaning on hover."""
    about = [describe_metric(name) for name in metrics]
    head: list[Content] = ["", *(element("abbr", each.name, title=each.tooltip) for each in about)]
    leaders = {metric: best(rows, metric) for metric in metrics}
    lines: list[list[Content]] = [
        [
            element("bdi", row.name),
            *(_draw_cell(row, metric, place in leaders[metric]) for metric in metrics),
        ]
        for place, row in enumerate(rows)
    ]
    return table(head, lines)


def _draw_cell(row: Row, metric: str, leads: bool) -> Content:
    if not is_known(row, metric):
        return "-"
    found = row.metrics[metric]
    text = f"{found['value']:.3f}"
    value = element("b", text) if leads else text
    interval = f"{found['low']:.3f} to {found['high']:.3f}" if _has_interval(row, metric) else ""
    return element("span", value, element("small", interval) if interval else None)


FORMATS = {"md": to_markdown, "csv": to_csv, "latex": to_latex, "html": to_html}


def is_known(row: Row, metric: str) -> bool:
    """Return whether a result has a value for a metric."""
    return row.metrics.get(metric, {}).get("value") is not None


def _cells(rows: Sequence[Row], metrics: Sequence[str], bold: str) -> list[list[str]]:
    """Return names and formatted values: three decimals, followed by the interval."""
    leaders = {metric: best(rows, metric) for metric in metrics}
    return [
        [
            row.name,
            *(_cell(row, name, bold if place in leaders[name] else "{}") for name in metrics),
        ]
        for place, row in enumerate(rows)
    ]


def _cell(row: Row, metric: str, shape: str) -> str:
    if not is_known(row, metric):
        return "-"
    found = row.metrics[metric]
    text = shape.format(f"{found['value']:.3f}")
    if not _has_interval(row, metric):
        return text
    return f"{text} ({found['low']:.3f} to {found['high']:.3f})"
