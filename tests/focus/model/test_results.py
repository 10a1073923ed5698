from __future__ import annotations

import numpy as np
import pytest

from focus.model.results import describe_place


@pytest.mark.parametrize(
    ("rows", "columns", "place"),
    [
        (slice(0, 4), slice(4, 10), "forehead"),
        (slice(5, 7), slice(1, 4), "eyes, left of the image"),
        (slice(7, 9), slice(10, 13), "nose and cheeks, right of the image"),
        (slice(9, 11), slice(5, 9), "mouth"),
        (slice(12, 14), slice(5, 9), "chin"),
        (slice(0, 0), slice(0, 0), "no particular place"),
    ],
)
def test_where_to_look(rows: slice, columns: slice, place: str) -> None:
    values = np.full((14, 14), 0.01, np.float32)
    values[rows, columns] = 0.9
    assert describe_place(values) == place


def test_evidence_all_over_is_the_whole_face() -> None:
    values = np.zeros((14, 14), np.float32)
    values[2:12:3, 2:12:3] = 0.9
    assert describe_place(values) == "the whole face"
