"""Results of a grid: one table, its paired differences, and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from evaluator.comparison.grid import GridCell
from evaluator.pages import Content, build_page, element, table
from evaluator.tables import (
    ALL,
    LEGEND,
    RESULT,
    Row,
    choose_columns,
    describe_sets,
    draw_table,
    mark_sets,
    read_tests,
    to_csv,
    with_prior,
)
from evaluator.trial.report import REPORT
from focus.cells import write_rows
from focus.errors import count_of
from focus.files import replace_file
from focus.metric_names import describe_metric

TABLE, DIFFERENCES = "table.csv", "differences.csv"
_PARTS = ("value", "low", "high", "spread", "n")


class Difference(NamedTuple):
    """Paired differences of a cell and its baseline on a test set."""

    test: str
    first: str
    second: str
    metrics: Mapping[str, Mapping[str, Any]]


def read_rows(cells: Sequence[GridCell]) -> dict[str, list[Row]]:
    """Return test set -> a row per cell, and the place prior."""
    found: dict[str, list[Row]] = {}
    for cell in cells:
        for test, row in read_tests(cell.folder / RESULT).items():
            found.setdefault(test, []).append(replace(row, name=cell.name))
    return {test: with_prior(rows) for test, rows in found.items()}


def write_tables(
    folder: Path, rows: Mapping[str, Sequence[Row]], differences: Sequence[Difference]
) -> None:
    """Write ``table.csv`` with every metric of every cell, and ``differences.csv``.

    Raises:
        InputError: the folder cannot be written.
    """
    named = [
        replace(row, name=f"{row.name}: {test}") if len(rows) > 1 else row
        for test, found in rows.items()
        for row in found
    ]
    with replace_file(folder / TABLE) as temporary:
        temporary.write_text(to_csv(named, choose_columns(named, (ALL,))), encoding="utf-8")
    lines = (
        [each.test, each.first, each.second, name, *(found.get(part) for part in _PARTS)]
        for each in differences
        for name, found in each.metrics.items()
    )
    with (
        replace_file(folder / DIFFERENCES) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        write_rows(file, ["test", "first", "second", "metric", *_PARTS], lines)


def write_page(
    folder: Path,
    cells: Sequence[GridCell],
    rows: Mapping[str, Sequence[Row]],
    differences: Sequence[Difference],
) -> Path:
    """Write ``report.html``: per test set the table and the differences, and links to each trial.

    Raises:
        InputError: the folder cannot be written.
    """
    models = dict.fromkeys(cell.model for cell in cells)
    maps = dict.fromkeys(cell.maps for cell in cells)
    title = f"{_list(list(models))} under {_list(list(maps))}"
    trials = f"{count_of(len(cells), 'trial')} of {count_of(cells[0].command.seeds, 'seed')}"
    subtitle = f"{trials}, {count_of(len(rows), 'test set')}"
    sections = [
        _draw_test(test, found, [each for each in differences if each.test == test])
        for test, found in rows.items()
    ]
    links = [
        [element("a", cell.name, href=(cell.folder / REPORT).relative_to(folder).as_posix())]
        for cell in cells
    ]
    listed = element("section", element("h2", "Trials"), table(["report of"], links))
    path = folder / REPORT
    with replace_file(path) as temporary:
        page = build_page(title, subtitle, [*sections, listed], LEGEND)
        temporary.write_text(page, encoding="utf-8")
    return path


def _draw_test(test: str, rows: Sequence[Row], differences: Sequence[Difference]) -> Element:
    notes = [element("li", line) for line in describe_sets(rows)]
    return element(
        "section",
        element("h2", test),
        element("ul", *notes, class_="notes") if notes else None,
        draw_table(mark_sets(rows), choose_columns(rows)),
        *_draw_differences(differences),
    )


def _draw_differences(differences: Sequence[Difference]) -> Iterator[Element]:
    names = list(dict.fromkeys(name for each in differences for name in each.metrics))
    if not names:
        return
    about = [describe_metric(name) for name in names]
    head: list[Content] = [
        "first minus second",
        *(element("abbr", a.name, title=a.tooltip) for a in about),
    ]
    lines: list[list[Content]] = [
        [
            f"{each.first} minus {each.second}",
            *(_draw_difference(each.metrics.get(name, {})) for name in names),
        ]
        for each in differences
    ]
    yield element("h3", "Differences")
    text = "Paired by face and seed, with 95 % intervals. Bold: the interval excludes 0."
    yield element("p", text, class_="quiet")
    yield table(head, lines)


def _draw_difference(found: Mapping[str, Any]) -> Element:
    if found.get("value") is None:
        return element("span", "-", title=str(found.get("reason") or "not measured"))
    text = f"{found['value']:+.3f}"
    if found.get("low") is None or found.get("high") is None:
        return element("span", text, element("small", str(found.get("reason") or "")))
    excludes = found["low"] > 0 or found["high"] < 0
    interval = element("small", f"{found['low']:+.3f} to {found['high']:+.3f}")
    return element("span", element("b", text) if excludes else text, interval)


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
