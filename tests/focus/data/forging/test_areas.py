"""Areas of a face, and their soft borders."""

from __future__ import annotations

import numpy as np
import pytest

from focus.data.forging import (
    forge_face,
)
from focus.data.forging.areas import FAINTEST, soften
from tests.focus.data.forging.making import draw_portrait


def test_parts_are_where_they_should_be():
    portrait = draw_portrait(3)
    middle_of = {}
    for part in ("eyes", "mouth", "half"):
        masks = [
            forge_face(portrait, f"partial-{part}", np.random.default_rng(seed)).mask
            for seed in range(12)
        ]
        middle_of[part] = [np.argwhere(mask).mean(axis=0) for mask in masks]
    shape = portrait.shape
    rows = {part: np.median([place[0] for place in middle_of[part]]) for part in middle_of}
    assert rows["eyes"] == pytest.approx(shape.eyes[:, 1].mean(), abs=0.1 * shape.size)
    assert rows["mouth"] == pytest.approx(shape.mouth[:, 1].mean(), abs=0.1 * shape.size)
    sides = [np.sign(place[1] - shape.outline[:, 0].mean()) for place in middle_of["half"]]
    assert {-1, 1} == set(sides)


def test_weights_are_zero_or_above_the_threshold():
    square = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    area = soften(square, 0.05, 0.5, (80, 80))
    weight = np.zeros((80, 80), np.float32)
    weight[area.window] = area.weight
    assert np.all((weight == 0) | (weight >= FAINTEST))
    assert weight.max() == pytest.approx(0.5)
    # The rim fades inwards: 0 outside the square, above 0 inside except for a thin rim.
    inside = np.zeros((80, 80), bool)
    inside[20:61, 20:61] = True
    assert not weight[~inside].any()
    assert np.count_nonzero(weight) > 0.85 * np.count_nonzero(inside)
