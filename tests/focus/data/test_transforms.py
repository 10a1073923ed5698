from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.transforms import Augmentation, Geometry, resize
from focus.errors import InputError


def ramp(height: int, width: int) -> np.ndarray:
    """Values that rise by 1 a cell to the right and by 100 a cell downwards, at cell centres."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return 100 * y + x


@pytest.mark.parametrize(
    ("top", "left", "side"), [(0.25, 0.5, 0.5), (0.5, 0, 0.5), (0.1, 0.3, 0.6)]
)
def test_a_cropped_map_is_sampled_at_the_centres_of_its_cells(
    top: float, left: float, side: float
) -> None:
    height, width = 12, 20
    moved = Geometry(top, left, side).apply(ramp(height, width))
    rows = top * height + side * (np.arange(height) + 0.5) - 0.5
    columns = left * width + side * (np.arange(width) + 0.5) - 0.5
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    expected = 100 * rows[:, None] + columns
    assert moved.shape == (height, width)
    assert np.abs(moved - expected).max() < 2  # OpenCV samples at 1/32 of a cell: 3 in 100
    assert abs((moved - expected).mean()) < 0.2  # half a cell would be 25


def test_a_cropped_image_has_the_pixels_of_the_crop() -> None:
    image = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    geometry = Geometry(0.2, 0.5, 0.4)
    assert np.array_equal(geometry.apply(image), image[2:6, 10:18])
    mirrored = Geometry(0.2, 0.5, 0.4, mirrored=True).apply(image)
    assert np.array_equal(mirrored, image[2:6, 10:18][:, ::-1])
    assert np.array_equal(Geometry(0.999, 0.999, 0.001).apply(image), image[-1:, -1:])


def test_the_default_changes_nothing() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    values = ramp(4, 6)
    assert Geometry().apply(image) is image
    assert Geometry().apply(values) is values
    assert np.array_equal(Geometry(mirrored=True).apply(values), values[:, ::-1])


def test_map_and_image_mirror_together() -> None:
    values = ramp(8, 8)
    plain = Geometry(0.25, 0.125, 0.5).apply(values)
    assert np.array_equal(Geometry(0.25, 0.125, 0.5, True).apply(values), plain[:, ::-1])


def test_draws_flip_half_and_crop_down_to_the_smallest_side() -> None:
    rng = np.random.default_rng(0)
    drawn = [Augmentation(smallest_crop=0.6).draw(rng) for _ in range(400)]
    assert 160 < sum(geometry.mirrored for geometry in drawn) < 240
    sides = [geometry.side for geometry in drawn]
    assert 0.6 <= min(sides) < 0.62
    assert 0.98 < max(sides) <= 1
    for axis in ("top", "left"):
        starts = np.array([getattr(geometry, axis) for geometry in drawn])
        room = 1 - np.array(sides)
        assert (starts >= 0).all()
        assert (starts <= room).all()
        shares = starts / room
        assert shares.min() < 0.05
        assert shares.max() > 0.95
    assert len({(geometry.top, geometry.left) for geometry in drawn}) == 400
    assert any(abs(geometry.top - geometry.left) > 0.1 for geometry in drawn)


def test_flips_are_on_and_crops_off_unless_asked_otherwise() -> None:
    rng = np.random.default_rng(1)
    assert {Augmentation().draw(rng) for _ in range(60)} == {Geometry(), Geometry(mirrored=True)}
    assert {Augmentation(flip=False).draw(rng) for _ in range(60)} == {Geometry()}


@pytest.mark.parametrize("side", [0.0, 0.09, 1.01, -0.5])
def test_crops_that_are_none_are_refused(side: float) -> None:
    with pytest.raises(InputError, match=f"--smallest-crop {side}: must be between 0.1 and 1"):
        Augmentation(smallest_crop=side)
    assert Augmentation(smallest_crop=0.1).smallest_crop == 0.1


@pytest.mark.parametrize(
    ("height", "width", "size", "method"),
    [
        (60, 60, 32, cv2.INTER_AREA),
        (48, 48, 32, cv2.INTER_AREA),  # 1.5 times
        (47, 47, 32, cv2.INTER_LINEAR),
        (40, 48, 32, cv2.INTER_AREA),
        (32, 64, 32, cv2.INTER_LINEAR),  # its shorter side does not shrink
        (20, 20, 32, cv2.INTER_LINEAR),
    ],
)
def test_images_are_averaged_when_they_shrink_far(
    height: int, width: int, size: int, method: int
) -> None:
    image = np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)
    expected = cv2.resize(image, (size, size), interpolation=method)
    assert np.array_equal(resize(image, size), expected)
    assert np.array_equal(Geometry().apply(image, size), expected)


def test_resize_keeps_a_channel_that_is_alone_and_what_fits() -> None:
    plane = np.full((10, 12, 1), 7, np.uint8)
    assert resize(plane, 5).shape == (5, 5, 1)
    square = np.zeros((5, 5, 3), np.uint8)
    assert resize(square, 5) is square
