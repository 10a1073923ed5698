from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.cropping import (
    crop,
    format_box,
    measure_cover,
    measure_padding,
    parse_box,
    paste,
    resize,
)

BOXES = [(2, 3, 9, 8), (-4, -2, 6, 5), (8, 6, 20, 15), (-3, -3, 40, 30), (30, 2, 35, 6)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 3)])
def test_a_crop_is_the_reflected_image_cut(box, shape):
    image = np.random.default_rng(0).integers(1, 256, shape, np.uint8)
    around = 50
    edges = [(around, around)] * 2 + [(0, 0)] * (len(shape) - 2)
    padded = np.pad(image, edges, mode="reflect")
    left, top, right, bottom = (edge + around for edge in box)
    part = crop(image, box)
    assert part.dtype == image.dtype
    assert np.array_equal(part, padded[top:bottom, left:right])


@pytest.mark.parametrize("box", BOXES)
def test_what_is_pasted_lies_where_it_was_cut(box):
    truth = np.random.default_rng(1).random((12, 16)).astype(np.float32)
    inside = np.zeros((12, 16), np.float32)
    left, top, right, bottom = box
    rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
    inside[rows, columns] = truth[rows, columns]
    assert np.array_equal(paste(crop(truth, box), box, truth.shape), inside)


def test_a_coarse_map_is_resized_to_its_box():
    coarse = np.array([[0.0, 1.0], [0.5, 0.25]])
    box = (4, 2, 12, 8)
    frame = paste(coarse, box, (10, 14))
    assert frame.dtype == np.float32
    assert frame.shape == (10, 14)
    expected = cv2.resize(coarse.astype(np.float32), (8, 6), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(frame[2:8, 4:12], expected)
    assert frame.sum() == pytest.approx(expected.sum())
    assert frame[2, 4] == 0
    assert frame[2, 11] == 1


def test_a_map_finer_than_its_box_is_averaged():
    fine = np.zeros((40, 40))
    fine[::2] = 1
    assert np.allclose(paste(fine, (0, 0, 10, 10), (10, 10)), 0.5)


def test_resizing_gives_a_square_of_that_side():
    image = np.full((30, 40, 3), 77, np.uint8)
    for side in (8, 64):
        assert np.array_equal(resize(image, side), np.full((side, side, 3), 77, np.uint8))


def test_a_box_in_words_reads_back():
    assert format_box((-3, 0, 12, 9)) == "-3 0 12 9"
    assert parse_box("-3 0 12 9") == (-3, 0, 12, 9)
    for wrong in ("1 2 3", "1 2 3 x", ""):
        with pytest.raises(ValueError, match=r"invalid literal|not enough"):
            parse_box(wrong)


def test_an_image_of_one_pixel_is_reflected_too():
    assert (crop(np.full((1, 3), 7, np.uint8), (-2, -4, 9, 5)) == 7).all()
    assert crop(np.array([[1, 2]]), (-3, 0, 4, 1)).tolist() == [[2, 1, 2, 1, 2, 1, 2]]


def test_a_crop_shares_no_memory_with_the_image():
    image = np.zeros((4, 4), np.uint8)
    crop(image, (1, 1, 3, 3))[:] = 1
    assert not image.any()


@pytest.mark.parametrize(
    ("box", "share"),
    [((0, 0, 16, 12), 0), ((-4, 0, 4, 12), 0.5), ((-2, -2, 2, 2), 0.75), ((20, 0, 30, 5), 1)],
)
def test_padding_is_the_share_outside(box, share):
    assert measure_padding(box, (12, 16)) == share
    assert measure_cover(np.ones((12, 16), bool), box) == 1 - share
    assert measure_cover(np.zeros((12, 16), bool), box) == 0
