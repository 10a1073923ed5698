from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.forging.edits import EDITS
from focus.data.forging.online import KINDS, find_region, forge_on_the_fly, guess_shape, wants_donor
from focus.errors import InputError


def face(seed: int = 0, side: int = 96) -> np.ndarray:
    """Return smooth patches of colour with grain, uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (8, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forgery_equals_its_original_where_its_weight_is_zero(kind: str) -> None:
    image, donor, made = face(), face(1), 0
    before = image.copy()
    for seed in range(12):
        forgery = forge_on_the_fly(image, lambda: donor, np.random.default_rng(seed), (kind,))
        if forgery is None:
            continue
        made += 1
        changed = (forgery.image != image).any(axis=2)
        assert not changed[forgery.weight == 0].any()
        assert changed[forgery.weight > 0].mean() > 0.2
        assert forgery.weight.dtype == np.float32
        assert 0 < forgery.weight.max() <= 1
        assert np.array_equal(forgery.mask, forgery.weight > 0)
    assert made >= 4
    assert np.array_equal(image, before)


def test_the_generator_alone_decides() -> None:
    image = face()
    first, again, other = (
        forge_on_the_fly(image, lambda: face(1), np.random.default_rng(seed), KINDS)
        for seed in (3, 3, 4)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_a_blank_image_gives_no_forgery() -> None:
    blank = np.full((64, 64, 3), 90, np.uint8)
    edits = [
        forge_on_the_fly(blank, None, np.random.default_rng(seed), ("smooth",)) for seed in range(9)
    ]
    assert edits == [None] * 9


def test_outlines_vary_strongly() -> None:
    forgeries = [forge_on_the_fly(face(), None, np.random.default_rng(s)) for s in range(40)]
    areas = [float((made.weight > 0).mean()) for made in forgeries if made is not None]
    assert min(areas) < 0.07
    assert max(areas) > 0.25


def test_the_shape_fills_the_box_of_the_region() -> None:
    mask = np.zeros((100, 80), bool)
    mask[10:50, 40:72] = True
    region = find_region(mask)
    assert region == (0.5, 0.1, 0.9, 0.5)
    shape = guess_shape((200, 160), np.random.default_rng(0), region)
    assert np.allclose(shape.outline.min(0), (80, 20), atol=3)
    assert np.allclose(shape.outline.max(0), (144, 100), atol=3)
    assert find_region(np.zeros((4, 4), bool)) is None


def test_without_a_region_the_shape_is_in_the_middle_of_the_crop() -> None:
    for seed in range(20):
        outline = guess_shape((100, 140), np.random.default_rng(seed)).outline
        middle, extent = (outline.min(0) + outline.max(0)) / 2, np.ptp(outline, axis=0)
        assert np.abs(middle - (69.5, 49.5)).max() < 6
        assert 55 < extent[1] < 85
        assert extent[0] < extent[1]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="--edits glow: use one or more of blend, "):
        forge_on_the_fly(face(), None, np.random.default_rng(0), ("glow",))
    assert wants_donor(tuple(EDITS))
    assert not wants_donor(("blend", "warp"))
