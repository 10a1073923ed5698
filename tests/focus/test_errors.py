from __future__ import annotations

import pytest

from focus.errors import count_of


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, ("face",), "0 faces"),
        (1, ("face",), "1 face"),
        (2, ("face",), "2 faces"),
        (1, ("box", "boxes"), "1 box"),
        (3, ("box", "boxes"), "3 boxes"),
    ],
)
def test_counts_agree_with_their_nouns(count, nouns, text):
    assert count_of(count, *nouns) == text
