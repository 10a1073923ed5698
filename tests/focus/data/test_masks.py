"""Masks from polygons and run lengths, held to other libraries."""

import numpy as np
import pytest
from skimage.draw import polygon2mask

from focus.data.masks import decode_rle, draw_polygons, encode_rle

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)


def test_polygons_agree_with_another_library():
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for _ in range(5):
        radii = rng.uniform(20, 40, 24)
        outline = np.stack([60 + radii * np.cos(angles), 50 + radii * np.sin(angles)], 1)
        mask = draw_polygons([outline], (10, 5, 110, 95))
        # There, a pixel's coordinate is its centre.
        other = polygon2mask((90, 100), outline[:, ::-1] - (5.5, 10.5))
        assert (mask & other).sum() / (mask | other).sum() > 0.98


def test_polygons_that_overlap_or_reach_outside():
    first, second = (SQUARE + np.array([left, -5]) for left in (-5, 0))
    mask = draw_polygons([first, second], (0, 0, 20, 20))
    assert mask[:5, :10].all()
    assert mask.sum() == 50


def test_rle_by_hand():
    # Column by column 0 0 1 1 1 1: runs 2, 4, as characters 2 + 48 and 4 + 48.
    assert encode_rle(np.array([[0, 1, 1], [0, 1, 1]], bool)) == "24"
    assert encode_rle(np.zeros((2, 2), bool)) == "4"
    # Begins with a one: no zeros first. 32 pixels need two groups of five bits: 00000, then 1.
    assert encode_rle(np.ones((8, 4), bool)) == "0P1"


def test_rle_counts_are_differences_from_the_fourth_on():
    pixels = np.repeat([0, 1, 0, 1, 0], [3, 2, 5, 1, 9]).astype(bool)
    # 3, 2, 5, then 1 - 2 = -1 (all five bits set: 31 + 48) and 9 - 5 = 4.
    assert encode_rle(pixels.reshape(-1, 1)) == "325O4"


def test_rle_equals_pycocotools():
    reference = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    generator = np.random.default_rng(3)
    for height, width in ((1, 1), (7, 300), (64, 64), (500, 3)):
        for share in (0.0, 0.02, 0.5, 0.98, 1.0):
            mask = generator.random((height, width)) < share
            theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
            text = theirs["counts"].decode()
            assert encode_rle(mask) == text
            assert (decode_rle(text, height, width) == mask).all()


def test_run_lengths_as_a_list():
    assert decode_rle([2, 4], 2, 3).tolist() == [[False, True, True], [False, True, True]]
    assert decode_rle([0, 3], 1, 3).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([2, 5], "7 pixels"),
        ([7, -1], "6 pixels for 3 x 2"),
        ("2", "2 pixels"),
        ("2\n", "impossible character"),
        ("o" * 20, "impossible character"),
        ("2o", "end early"),
    ],
)
def test_wrong_run_lengths_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        decode_rle(counts, 2, 3)
