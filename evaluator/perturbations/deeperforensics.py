"""The single-image corruptions of DeeperForensics-1.0 (Jiang et al., CVPR 2020).

Every function takes uint8 (H, W, 3) RGB, the parameter of the level, and a random generator (unused
by deterministic corruptions), and returns a new array of the same shape. As in the original, real
values are truncated to bytes.
"""

from __future__ import annotations

import cv2
import numpy as np

BLOCK = 8
BLOCK_VALUE = 128
FRAME_UNIT = 256
_NEUTRAL = 0.5  # chroma of grey in OpenCV's float planes, whatever their scale
# Gain of noise on studio-range planes (luma 16..235, chroma 16..240) when converted to full range.
_GAIN = np.array([255 / 219, 255 / 224, 255 / 224], dtype=np.float32)


def desaturate(image: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    """CS: scale both chroma planes of YCrCb about neutral; 0 gives grey."""
    planes = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2YCrCb)
    planes[..., 1:] = _NEUTRAL + share * (planes[..., 1:] - _NEUTRAL)
    return _truncate(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB))


def lower_contrast(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """CC: multiply every value by a factor; this darkens, since the mean is not preserved."""
    return _truncate(image.astype(np.float32) * factor)


def cover_frame(image: np.ndarray, factor: float, generator: np.random.Generator) -> np.ndarray:
    """BW: add floor(shorter side / 256) * factor grey blocks; none below 256 px.

    This rule is for whole frames; use :func:`cover_crop` for face crops.
    """
    return _cover(image, min(image.shape[:2]) // FRAME_UNIT * int(factor), generator)


def cover_crop(image: np.ndarray, count: float, generator: np.random.Generator) -> np.ndarray:
    """BW for crops: add ``count`` grey blocks to an image of any size."""
    return _cover(image, int(count), generator)


def add_noise(image: np.ndarray, variance: float, generator: np.random.Generator) -> np.ndarray:
    """GNC: add Gaussian noise of this variance to Y, Cb and Cr in [0, 1] studio range.

    The conversion from studio range amplifies the noise and mixes the planes: at a variance of
    0.001, grey 128 gets a standard deviation of 15.9, 11.9 and 18.8 levels in R, G and B.
    """
    planes = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb)
    noise = generator.standard_normal(planes.shape, dtype=np.float32)
    noisy = planes + noise * _GAIN * np.float32(variance**0.5)
    return _truncate(cv2.cvtColor(noisy, cv2.COLOR_YCrCb2RGB) * 255)


def blur(image: np.ndarray, kernel: float, _: np.random.Generator) -> np.ndarray:
    """GB: Gaussian blur of kernel k x k, sigma = k / 6."""
    side = int(kernel)
    return cv2.GaussianBlur(image, (side, side), side / 6)


def pixelate(image: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    """Resize bilinearly to (W // p, H // p) and back; the original code calls this JPEG."""
    height, width = image.shape[:2]
    small = max(1, width // int(factor)), max(1, height // int(factor))
    return cv2.resize(cv2.resize(image, small), (width, height))


def _cover(image: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Add blocks at uniformly random positions; they may overlap."""
    covered = image.copy()
    last = [max(0, side - BLOCK) for side in image.shape[:2]]
    for top, left in generator.integers(0, last, (count, 2), endpoint=True):
        covered[top : top + BLOCK, left : left + BLOCK] = BLOCK_VALUE
    return covered


def _truncate(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)
