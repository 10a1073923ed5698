"""Modalities against OpenCV, SciPy and hand-computed residuals."""

import cv2
import numpy as np
import pytest
import torch
from scipy.fft import dctn

from focus.modalities import MODALITIES, dct, sobel, srm


@pytest.mark.parametrize("name", MODALITIES)
def test_shape_gradient_and_finite(name):
    images = torch.rand(2, 3, 32, 48, requires_grad=True)
    values = MODALITIES[name](images)
    assert values.shape == images.shape
    values.sum().backward()
    assert torch.isfinite(images.grad).all()


def test_sobel_equals_opencv():
    image = np.random.default_rng(0).random((24, 24)).astype(np.float32)
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE) / 8
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE) / 8
    expected = np.sqrt(gx**2 + gy**2 + 1e-6)
    found = sobel(torch.from_numpy(image).expand(1, 3, -1, -1))
    np.testing.assert_allclose(found[0, 1], expected, atol=1e-5)


def test_dct_equals_scipy_block_by_block():
    image = torch.rand(1, 3, 16, 24)
    found = dct(image)
    block = image[0, 2, 8:16, 16:24].numpy() * 255
    expected = np.log1p(np.abs(dctn(block, norm="ortho")))
    np.testing.assert_allclose(found[0, 2, 8:16, 16:24], expected, rtol=1e-3, atol=1e-3)


def test_srm_residuals():
    assert srm(torch.full((1, 3, 9, 9), 0.5)).abs().max() < 1e-3  # flat: no residual
    spot = torch.zeros(1, 3, 9, 9)
    spot[:, :, 4, 4] = 1 / 255 / 3  # one grey level summed over channels
    centre = srm(spot)[0, :, 4, 4].tolist()
    assert centre == pytest.approx([-1.0, -1.0, -1.0], abs=1e-5)  # -4/4, -12/12, -2/2
