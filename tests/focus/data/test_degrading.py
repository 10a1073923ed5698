from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from focus.data.degrading import recompress


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_jpeg_of_saturated_colours_is_that_of_pillow(quality: int) -> None:
    coarse = np.random.default_rng(0).choice(np.uint8([0, 255]), (8, 8, 3))
    image = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    expected = np.asarray(Image.open(file)).astype(int)
    before = image.copy()
    assert np.abs(recompress(image, quality) - expected).max() <= 4
    assert np.array_equal(image, before)
    assert np.abs(recompress(image[..., ::-1], quality)[..., ::-1] - expected).max() > 4
