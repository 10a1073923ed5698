"""Names of the tables under test."""

from __future__ import annotations

from pathlib import Path

from evaluator.protocols import (
    PROTOCOLS,
)

NOWHERE = Path("/nowhere")
TABLES = [
    *(f"focus-table-{n}" for n in range(1, 9)),
    *(f"msccnet-table-{n}" for n in (2, 3, 4)),
    *(f"monfap-table-{n}" for n in (2, 3, 4)),
    *(f"telltales-table-{n}" for n in range(2, 7)),
]


def printed(name, label):
    table = PROTOCOLS[name]
    row = next(row for row in table.rows if row.label == label)
    return {c.title: value for c, value in zip(table.columns, row.published, strict=True)}
