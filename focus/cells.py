"""CSV cells that a spreadsheet cannot run as formulas.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` (also after a tab or
carriage return), even if it is the name of a downloaded file. Such text is written with a leading
apostrophe: a spreadsheet then shows it as text, and :func:`unguard` removes the apostrophe.
Numbers, including negative ones, are left unchanged.
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
    """Return the cells of a row, with an apostrophe before text that would be a formula."""
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
