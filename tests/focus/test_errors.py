from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from focus.errors import count_of


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("face",), "0 faces"),
        (1, ("face",), "1 face"),
        (2, ("face",), "2 faces"),
        (1234567, ("face",), "1,234,567 faces"),
        (1, ("box", "boxes"), "1 box"),
        (3, ("box", "boxes"), "3 boxes"),
    ],
)
def test_counts_agree_with_their_nouns(count, nouns, text):
    assert count_of(count, *nouns) == text


@pytest.mark.parametrize("package", ["focus", "plugins", "evaluator"])
def test_no_text_writes_a_counted_plural_by_hand(package):
    """A length, a sum or a number with separators, followed by a plural, is wrong for one."""
    verbs = "has|is|was|does|needs|lacks|without"
    number = re.compile(r"len\(.*\)|.*\.sum\(\)")
    plural = re.compile(rf" (?!(?:{verbs})\b)(?:[a-z]+ )?[a-z]{{3,}}s\b")
    for path in sorted((Path(__file__).parents[2] / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for field, text in pairwise(parts):
                if isinstance(field, ast.FormattedValue) and isinstance(text, ast.Constant):
                    form = getattr(field.format_spec, "values", [ast.Constant("")])[0]
                    counted = number.fullmatch(ast.unparse(field.value)) or form.value == ","
                    hand = counted and plural.match(text.value)
                    assert not hand, f"{path}:{node.lineno}:{text.value}; use count_of"
