"""Maps that compare a face with its aligned original: structural similarity, pixel difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from focus.config import parse_options, to_json
from focus.errors import InputError
from focus.generators.contract import PairGenerator
from focus.types import InputSpec, Prediction

A = TypeVar("A", np.ndarray, Tensor)

RADIUS, SIGMA = 5, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW = cv2.getGaussianKernel(2 * RADIUS + 1, SIGMA, cv2.CV_32F)
_GREY = (9798, 19235, 3735)  # BT.601 in 1/32768, as OpenCV rounds it
_THREADS = 8  # more threads contend for the GIL


@dataclass(frozen=True)
class ComparisonConfig:
    """Settings of every comparison."""

    image_size: int = 0
    """Side to which faces are resized first; 0: the images' own size."""

    def __post_init__(self) -> None:
        if self.image_size < 0:
            raise InputError(f"--options image_size={self.image_size}: must be 0 or more")


class Comparison(PairGenerator):
    """A comparison without weights: images arrive as float32 of 0 to 255, companions as uint8."""

    config_type: ClassVar[type[ComparisonConfig]] = ComparisonConfig

    def __init__(self, config: ComparisonConfig | None = None) -> None:
        super().__init__()
        self.config = config or self.config_type()
        self.input_spec = InputSpec(image_size=self.config.image_size, std=(1 / 255,) * 3)

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Self:
        """Build from options alone.

        Raises:
            InputError: weights were given, or an unknown option or wrong value.
        """
        if weights is not None:
            raise InputError(f"--weights {weights}: {cls.__name__} has no weights; leave it out")
        return cls(parse_options(cls.config_type, options))

    def describe(self) -> Mapping[str, Any]:
        """Return the options."""
        return to_json(self.config)


class Ssim(Comparison):
    """1 - SSIM (Wang et al., 2004), the mean of the three channels, clipped to [0, 1].

    Gaussian window of 11 x 11, sigma 1.5; population covariance; borders mirrored. Exactly 0 where
    both images agree over the whole window. No parts.
    """

    normalisation = "clip"

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of images 0 to 255 and their originals, both (B, 3, H, W)."""
        maps = dissimilarity(images, companions).clamp_(0, 1)
        return Prediction(self.no_scores(images), maps)


class Dssim(Comparison):
    """|1 - SSIM| / 2 with the same window (as in CADDM), the mean of the three channels."""

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of images 0 to 255 and their originals, both (B, 3, H, W)."""
        # 1 - SSIM is negative only by rounding, which the clamp removes.
        maps = dissimilarity(images, companions).div_(2).clamp_(0, 1)
        return Prediction(self.no_scores(images), maps)


class Pixel(Comparison):
    """Pixel difference per channel, converted to grey (BT.601, rounded as in OpenCV), over 255.

    The difference is taken first, as in Dang et al. (CVPR 2020), so that a change of hue counts.
    """

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of images 0 to 255 and their originals, both (B, 3, H, W)."""
        return Prediction(self.no_scores(images), grey_difference(images, companions) / 255)


@dataclass(frozen=True)
class PixelAtConfig(ComparisonConfig):
    """Settings of the thresholded pixel difference."""

    threshold: float = 0.1
    """Differences (0 to 1) above it give 1, others 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < 1:
            raise InputError(f"--options threshold={self.threshold}: must be in [0, 1)")


class PixelAt(Comparison):
    """Binary pixel difference: 1 where it is above the threshold."""

    config_type = PixelAtConfig
    config: PixelAtConfig
    normalisation = "threshold"

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of images 0 to 255 and their originals, both (B, 3, H, W)."""
        above = grey_difference(images, companions) > self.config.threshold * 255
        return Prediction(self.no_scores(images), above.float())


def grey_difference(images: Tensor, others: Tensor) -> Tensor:
    """Return the grey of |images - others|, integers from 0 to 255, float32 (B, 1, H, W)."""
    red, green, blue = (images.float() - others).abs_().split(1, dim=1)
    # Integers below 2^24: exact in float32, so equal on every device and to OpenCV.
    grey = red * _GREY[0] + green * _GREY[1] + blue * _GREY[2]
    return grey.add_(1 << 14).div_(1 << 15).floor_()


def dissimilarity(images: Tensor, others: Tensor) -> Tensor:
    """Return 1 - SSIM, the mean of the channels, in [0, 2] up to rounding.

    Args:
        images: float32 (B, 3, H, W), 0 to 255.
        others: the same shape, float32 or uint8.

    Returns:
        float32 (B, 1, H, W), on the device of the images.
    """
    if images.device.type != "cpu":
        return dissimilarity_torch(images, others)
    maps = torch.empty(len(images), 1, *images.shape[2:])
    x, y, out = images.float().numpy(), others.numpy(), maps[:, 0].numpy()
    spread(lambda rows: _dissimilarity_opencv(x[rows], y[rows], out[rows]), len(images))
    return maps


def dissimilarity_torch(images: Tensor, others: Tensor) -> Tensor:
    """Compute :func:`dissimilarity` in torch, the whole batch at once, on any device."""
    x, y = images.float(), others.float()
    planes = torch.empty(4, *x.shape, device=x.device)
    planes[0], planes[1] = x + y - 255, x - y
    torch.mul(planes[:2], planes[:2], out=planes[2:])
    return 1 - _similarity(*_blur(planes)).mean(1, keepdim=True)


def spread(work: Callable[[slice], object], count: int) -> None:
    """Call ``work`` on contiguous slices of ``count`` items, in as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count, _THREADS)
    if threads < 2:
        work(slice(0, count))
        return
    edges = [count * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, map(slice, edges[:-1], edges[1:])))


def _dissimilarity_opencv(images: np.ndarray, others: np.ndarray, out: np.ndarray) -> None:
    """Compute :func:`dissimilarity` channel by channel, so that data stays in the CPU cache.

    OpenCV is fastest for the separable window. The sum and difference of two images give SSIM from
    four filtered planes; the images themselves would need five.
    """
    planes = np.empty((4, *images.shape[2:]), np.float32)
    moments, other = np.empty_like(planes), np.empty_like(planes[0])
    total, difference, total2, difference2 = planes
    for faces, originals, result in zip(images, others, out, strict=True):
        result[...] = 0
        for x, y in zip(faces, originals, strict=True):
            np.copyto(other, y)
            np.subtract(x, other, out=difference)
            if not difference.any():  # always so for real faces, whose original is the face itself
                result += 1
                continue
            np.add(x, other, out=total)
            total -= 255
            np.multiply(total, total, out=total2)
            np.multiply(difference, difference, out=difference2)
            for plane, mean in zip(planes, moments, strict=True):
                cv2.sepFilter2D(plane, -1, _WINDOW, _WINDOW, mean, borderType=cv2.BORDER_REFLECT)
            result += _similarity(*moments)
        result /= -len(faces)
        result += 1


def _similarity(total: A, difference: A, total2: A, difference2: A) -> A:
    """Return SSIM from window means; overwrites its arguments.

    With s = x + y and d = x - y, SSIM is
    (E[s]^2 - E[d]^2 + 2 C1) (var(s) - var(d) + 2 C2) over the same with plus signs: exactly 1
    where d is 0.

    Args:
        total: E[s - 255]; the shift keeps the squares small, for precision.
        difference: E[d].
        total2: E[(s - 255)^2].
        difference2: E[d^2].
    """
    difference *= difference
    difference2 -= difference
    total2 -= total * total
    total2 += 2 * C2
    total += 255
    total *= total
    total += 2 * C1
    similarity = total - difference
    similarity *= total2 - difference2
    total += difference
    total2 += difference2
    total *= total2
    similarity /= total
    return similarity


def _blur(planes: Tensor) -> Tensor:
    """Return the Gaussian means of planes (..., H, W), borders mirrored with the edge repeated.

    Sums of shifted planes rather than a convolution: on a GPU a convolution may round to TF32
    or to the autocast precision, too coarse for variances.
    """
    for axis in (planes.ndim - 2, planes.ndim - 1):
        size = planes.shape[axis]
        places = torch.arange(-RADIUS, size + RADIUS, device=planes.device) % (2 * size)
        wide = planes.index_select(axis, torch.minimum(places, 2 * size - 1 - places))
        planes = torch.zeros_like(planes)
        for shift, weight in enumerate(_WINDOW[:, 0].tolist()):
            planes.add_(wide.narrow(axis, shift, size), alpha=weight)
    return planes


class Mask(Comparison):
    """The masks of the index, 0 or 1; zero on real faces. No parts."""

    companion = "mask"

    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps (B, 1, H, W) of masks 0 or 255 (B, 1, H, W); images are ignored."""
        return Prediction(self.no_scores(images), companions.float() / 255)
