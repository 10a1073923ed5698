from __future__ import annotations

import cv2
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import font_manager

from focus.view.overlay import (
    SheetRow,
    colour_map,
    contact_sheet,
    find_contours,
    measure,
    outline,
    overlay,
    resize_map,
)


def test_resize_map_agrees_with_torch():
    face_map = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    ours = resize_map(face_map, (21, 40))
    tensor = torch.from_numpy(face_map)[None, None]
    theirs = torch.nn.functional.interpolate(tensor, (21, 40), mode="bilinear")[0, 0]
    assert ours.shape == (21, 40)
    assert np.allclose(ours, theirs.numpy(), atol=1e-5)


def test_colours_agree_with_matplotlib_inferno():
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    theirs = matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255
    assert np.abs(colour_map(ramp)[0].astype(float) - theirs).max() <= 2


def test_colours_grow_lighter_with_the_value():
    ramp = colour_map(np.linspace(0, 1, 256, dtype=np.float32)[None])
    lightness = cv2.cvtColor(ramp, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).mean() > 0.99
    assert lightness[0] < 5
    assert lightness[-1] > 240


def test_overlay_of_a_zero_map_is_the_face():
    face = np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(overlay(face, np.zeros((4, 4), np.float32), 1.0), face)


def test_overlay_blends_by_value_and_opacity():
    face = np.full((8, 8, 3), 100, np.uint8)
    face_map = np.full((2, 2), 0.5, np.float32)
    expected = 100 * 0.6 + colour_map(face_map)[0, 0].astype(float) * 0.4  # 0.8 * 0.5 covers
    assert np.abs(overlay(face, face_map, 0.8)[3, 3] - expected).max() <= 0.5


def square(side: int = 40) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    return mask


def test_outline_draws_the_edge_and_nothing_else():
    image = np.full((80, 80, 3), 128, np.uint8)
    drawn = outline(image, square(), colour=(0, 255, 0), thickness=2)
    assert (image == 128).all()
    assert (drawn[20:40, 18:22, 1].max(axis=1) > 200).all()  # the left edge, at twice the size
    assert (drawn[29:32, 29:32] == 128).all()
    assert (drawn[60:] == 128).all()


def test_outline_of_an_empty_mask_is_the_image():
    image = np.full((16, 16, 3), 7, np.uint8)
    assert np.array_equal(outline(image, np.zeros((8, 8), bool)), image)


@pytest.mark.parametrize("size", [(40, 40), (120, 120), (25, 25)])
def test_contours_enclose_the_mask_with_its_holes(size):
    mask = np.zeros((40, 40), np.uint8)
    cv2.circle(mask, (20, 20), 14, 1, -1)
    cv2.circle(mask, (20, 20), 6, 0, -1)
    filled = np.zeros(size, np.uint8)
    cv2.drawContours(filled, find_contours(mask.astype(bool), size), -1, 1, -1)
    truth = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
    assert (filled & truth).sum() / (filled | truth).sum() > 0.9
    assert filled[size[0] // 2, size[1] // 2] == 0


def image(value: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_contact_sheet_places_every_image():
    rows = [
        SheetRow("fake\nscore 0.9", [image(10), image(40)], ["", "pixel AUC 0.97"]),
        SheetRow("real", [image(70), None]),
    ]
    sheet = contact_sheet(rows, ["Face", "$Truth$"], "A title", cell=64, colour_bar=False)
    assert sheet.dtype == np.uint8
    assert (sheet[0] == 255).all()
    assert (sheet[:, -1] == 255).all()
    for value in (10, 40, 70, 244):
        assert (sheet == value).all(axis=-1).sum() >= 64 * 64 - 4


def test_contact_sheet_keeps_the_aspect():
    sheet = contact_sheet([SheetRow("", [image(33, (40, 20))])], ["Face"], cell=80)
    where = np.argwhere((sheet == 33).all(axis=-1))
    assert tuple(np.ptp(where, axis=0) + 1) == (80, 40)


def test_contact_sheet_grows_with_rows_captions_and_title():
    row = SheetRow("x", [image(1)])
    height, width, _ = contact_sheet([row], ["Face"], cell=64).shape
    taller = contact_sheet([row, row], ["Face"], cell=64).shape
    wider = contact_sheet([SheetRow("a long caption", [image(1)])], ["Face"], cell=64).shape
    assert taller[0] - height >= 64
    assert wider[1] > width
    assert contact_sheet([row], ["Face"], "Title", cell=64).shape[0] > height


def test_headings_and_titles_stay_within_their_width():
    row = SheetRow("", [image(1)] * 3)
    names = ["integrated-gradients of layer4", "M" * 40, "transformer_attribution"]
    sheet = contact_sheet([row], names, "A title of many words " * 4, cell=160, colour_bar=False)
    gap, margin = 8, 18
    head = sheet[: np.flatnonzero((sheet == 1).all(axis=-1).any(axis=1))[0]]
    below_title = head[-48:]  # up to three lines of headings
    for column in range(3):
        right = margin + (column + 1) * 160 + column * gap
        assert (below_title[:, right : right + gap] == 255).all()
        assert (below_title[:, right - 160 : right] < 128).any()
    assert (head[:, -margin:] == 255).all()


def test_text_has_the_same_font_on_every_system(monkeypatch):
    def draw():
        measure.cache_clear()
        row = SheetRow("fake\nscore 0.9", [image(1)], ["pixel AUC 0.97"])
        return contact_sheet([row], ["transformer_attribution"], "A title")

    before = draw()
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    font_manager.fontManager._findfont_cached.cache_clear()
    assert np.array_equal(draw(), before)


def test_a_long_caption_is_wrapped():
    short = contact_sheet([SheetRow("x", [image(1)])], ["Face"], cell=160)
    caption = "M" * 40 + "\na-method-with-a-long-name, of many words"
    long = contact_sheet([SheetRow(caption, [image(1)])], ["Face"], cell=160)
    assert long.shape[0] == short.shape[0]
    assert long.shape[1] <= short.shape[1] + 80


def test_text_grows_in_a_wide_sheet():
    heights = []
    for columns in (2, 8, 14, 30):
        row = SheetRow("", [image(1)] * columns)
        sheet = contact_sheet([row], ["x"] * columns, cell=64, colour_bar=False)
        heights.append(sheet.shape[0])
    assert heights[0] == heights[1] < heights[2] == heights[3]


def test_contact_sheet_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match=r"2 images under 1 heading$"):
        contact_sheet([SheetRow("", [image(1), image(2)])], ["Face"])
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], ["Face"])
