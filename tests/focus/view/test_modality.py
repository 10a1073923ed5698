from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from focus.errors import InputError
from focus.modalities import MODALITIES, dct
from focus.view.modality import describe, show_modality


@pytest.mark.parametrize("name", MODALITIES)
@pytest.mark.parametrize("size", [(5, 3), (21, 40)])
def test_every_modality_can_be_shown_and_is_described(name, size):
    shown = show_modality(np.full((*size, 3), 90, np.uint8), name)
    assert shown.dtype == np.uint8
    assert shown.shape == (*size, 3)
    assert describe([name])[name]


def test_rgb_is_the_image():
    face = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    assert np.array_equal(show_modality(face, "rgb"), face)


def test_sobel_is_white_at_a_step_and_black_where_flat():
    step = np.zeros((16, 16, 3), np.uint8)
    step[:, 8:] = 255
    shown = show_modality(step, "sobel")
    assert (shown[:, 7:9] == 255).all()
    assert shown[:, :6].max() < 16


def test_dct_agrees_with_opencv_and_leaves_the_rest_black():
    face = np.random.default_rng(1).integers(0, 256, (19, 28, 3)).astype(np.uint8)
    shown = show_modality(face, "dct")
    block = cv2.dct(face[8:16, 16:24, 1].astype(np.float64))
    expected = np.log1p(np.abs(block)) / np.log1p(2040) * 255
    assert np.abs(shown[8:16, 16:24, 1] - expected).max() <= 0.51
    assert not shown[16:].any()
    assert not shown[:, 24:].any()


def test_srm_is_mid_grey_where_flat_and_clamped_at_a_point():
    face = np.full((15, 15, 3), 60, np.uint8)
    face[7, 7] = 90
    shown = show_modality(face, "srm")
    assert (shown[:5] == 128).all()
    assert (shown[7, 7] == 0).all()
    assert (shown[7, 6, [0, 2]] == 255).all()


def test_kernels_that_were_cached_here_can_be_trained_through():
    show_modality(np.zeros((8, 8, 3), np.uint8), "dct")
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    dct(image).sum().backward()
    assert image.grad is not None


def test_an_unknown_name_is_refused_with_those_known():
    with pytest.raises(InputError, match="laplace: no such modality; known: rgb, sobel, dct, srm"):
        describe(["rgb", "laplace"])
