"""A forgery changes the image inside its mask only."""

from __future__ import annotations

import numpy as np
import pytest

from focus.data.forging import (
    METHODS,
    Portrait,
    forge_face,
    making,
)
from focus.data.landmarks import FaceShape
from focus.errors import InputError, UnreadableError
from tests.focus.data.forging.making import draw_portrait


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_forgery_changes_the_image_inside_its_mask_only(method, seed):
    portrait, donor = draw_portrait(seed), draw_portrait(seed + 10)
    before = portrait.image.copy()
    forgery = forge_face(portrait, method, np.random.default_rng(seed), donor)
    change = np.abs(forgery.image.astype(int) - before)
    assert np.array_equal(portrait.image, before)
    assert change[~forgery.mask].max() == 0
    assert change[forgery.mask].mean() >= making.LEAST_CHANGE
    assert 0.005 < forgery.mask.mean() < 0.6


def test_blank_image_is_refused():
    blank = np.full((64, 64, 3), 255, np.uint8)
    blank[0] = 0
    tiny = FaceShape.from_box(64, 64).moved(200, 0)
    with pytest.raises(UnreadableError, match="no visible change by blend"):
        forge_face(Portrait(blank, tiny), "blend", np.random.default_rng(0))


def test_wrong_methods_are_refused():
    for method, reason in (("blur", "known: blend"), ("swap", "needs a donor")):
        with pytest.raises(InputError, match=reason):
            forge_face(draw_portrait(0), method, np.random.default_rng(0))
