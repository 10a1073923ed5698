"""Cells of CSV files that people open in a spreadsheet: none of them is run as a formula.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` (a tab or carriage return
before it included), though it came from the name of a downloaded file. Such a text is written with
an apostrophe before it, which a spreadsheet shows as text and :func:`unguard` takes away again.
Numbers, negative ones too, stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def guard(cells: Iterable[object]) -> list[object]:
    """Return the cells of a row, with an apostrophe before every text that would be a formula."""
    return [
        f"'{cell}"
        if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
        else cell
        for cell in cells
    ]


def write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV whose cells are safe to open in a spreadsheet."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(guard(row) for row in rows)


def unguard(cell: str) -> str:
    """Return a cell as it was before :func:`guard`."""
    return cell[1:] if _GUARDED.match(cell) else cell
