from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from focus.data.photometric import ODDS, Photometric, draw_photometric


def draw_image(side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def draws(count: int) -> list[Photometric]:
    return [draw_photometric(np.random.default_rng(seed)) for seed in range(count)]


def test_a_draw_changes_equal_images_equally_and_keeps_size_and_type() -> None:
    image = draw_image()
    before, changed = image.copy(), 0
    for draw in draws(60):
        one, other = draw.apply(image), draw.apply(image.copy())
        assert np.array_equal(one, other)
        assert (one.shape, one.dtype) == (image.shape, np.uint8)
        changed += not np.array_equal(one, image)
    assert changed > 40
    assert np.array_equal(image, before)


def test_each_change_has_its_own_probability() -> None:
    many = draws(2000)
    found = {
        name: np.mean([getattr(draw, name) is not None for draw in many])
        for name in ("tone", "blur", "rescale", "noise", "sharpen", "jpeg", "hole")
    }
    for name, share in found.items():
        assert share == pytest.approx(ODDS[name], abs=0.04)
    grey = [draw for draw in many if draw.colour is not None and np.ptp(draw.colour[:, 0]) < 1e-9]
    assert len(grey) / 2000 == pytest.approx(ODDS["grey"], abs=0.02)
    assert np.ptp(Photometric(colour=grey[0].colour).apply(draw_image()), axis=2).max() == 0


def test_the_cut_out_zeroes_the_map_in_the_same_place() -> None:
    draw = Photometric(hole=(0.25, 0.5, 0.5, 0.75, 7))
    image = draw.apply(np.full((80, 40, 3), 200, np.uint8))
    assert (image[40:60, 10:20] == 7).all()
    assert (image == 7).all(axis=2).sum() == 200
    values = draw.hide(np.ones((8, 8), np.float32))
    expected = np.ones((8, 8), np.float32)
    expected[4:6, 2:4] = 0
    assert np.array_equal(values, expected)
    assert draw.hide(np.full((2, 2), 0.8, np.float32))[1, 0] == pytest.approx(0.6)


def test_noise_has_the_drawn_deviation() -> None:
    noisy = Photometric(noise=(6.0, 1)).apply(np.full((64, 64, 3), 128, np.uint8))
    assert noisy.std() == pytest.approx(6, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=0.2)


def test_unsharp_masking_agrees_with_pillow() -> None:
    coarse = np.random.default_rng(1).integers(60, 196, (40, 40, 3), np.uint8)
    image = cv2.resize(coarse, (200, 200), interpolation=cv2.INTER_LINEAR)
    found = Photometric(sharpen=(0.01, 0.8)).apply(image)  # a deviation of 2 pixels
    expected = np.asarray(Image.fromarray(image).filter(ImageFilter.UnsharpMask(2, 80, 0)))
    inner = np.s_[10:-10, 10:-10]
    difference = np.abs(found[inner].astype(int) - expected[inner])
    assert np.abs(image[inner].astype(int) - expected[inner]).mean() > 3
    assert difference.mean() < 0.6  # Pillow's blur is an approximation of the Gaussian


def test_the_tone_curve_keeps_black_and_white() -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (2, 1, 3))
    changed = Photometric(tone=1.5).apply(levels)[0, :, 0]
    assert (changed[0], changed[255]) == (0, 255)
    assert changed[128] == round(255 * (128 / 255) ** 1.5)
