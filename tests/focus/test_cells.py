from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from focus.cells import guard, unguard, write_rows

HOSTILE = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "'=1",
    "''-x",
    "-a.jpg",
]


def test_no_text_is_a_formula_and_numbers_are_unchanged():
    numbers = [-1, -0.5, "-0.5", "+3", "-1e-5", "", None, "plain", "it's", "a=b"]
    assert guard(numbers) == numbers
    for cell in guard(HOSTILE):
        assert str(cell)[0] == "'"


@given(st.text())
@example("'=1")
@example("'-5")
@example("-5")
def test_unguard_restores_every_text(text):
    (cell,) = guard([text])
    assert unguard(str(cell)) == text


def test_rows_are_written_safely():
    file = io.StringIO()
    write_rows(file, ("key", "score"), [("=evil()", -0.25)])
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [
        ["key", "score"],
        ["'=evil()", "-0.25"],
    ]
