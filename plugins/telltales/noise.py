"""The noise of an image: the part removed by a Wiener filter on its wavelet coefficients.

M. K. Mihcak, I. Kozintsev, K. Ramchandran, "Spatially Adaptive Statistical Modeling of Wavelet
Image Coefficients and its Application to Denoising", ICASSP 1999; the filter of camera
identification by sensor noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4
WINDOWS = (3, 5, 7, 9)  # sides of the neighbourhoods for estimating variances
LUMA = (0.299, 0.587, 0.114)
DB4 = (  # the scaling filter of Daubechies' wavelet with four vanishing moments
    0.2303778133088965,
    0.7148465705529156,
    0.6308807679298589,
    -0.0279837694168599,
    -0.1870348117190931,
    0.0308413818355608,
    0.0328830116668852,
    -0.0105974017850690,
)
TAPS = len(DB4)


@torch.no_grad()
def noise_residual(images: Tensor, sigma: float) -> Tensor:
    """Return n = F - f(F), the image minus its denoised version (Eq. 4).

    Every colour is filtered separately on four scales; the coarsest approximation is not noise.

    Args:
        images: float32 (B, 3, H, W), RGB in [0, 255].
        sigma: standard deviation of the noise in grey levels.

    Returns:
        Float32 (B, 1, H, W) in grey levels, around 0: the luma of the colours' residuals.
    """
    with torch.autocast(images.device.type, enabled=False):
        luma = images.new_tensor(LUMA)[:, None, None, None]
        approximation = images.flatten(0, 1)[:, None]  # (3 B, 1, H, W)
        noisy = []
        for _ in range(SCALES):
            approximation, details = decompose(approximation)
            parts = attenuate(details, sigma).unflatten(0, (-1, 3))  # (B, 3, 3, h, w)
            noisy.append((luma * parts).sum(dim=1))  # linear from here on: one plane per image
        residual = torch.zeros_like(noisy[-1][:, :1])
        for details in reversed(noisy):
            height, width = details.shape[-2:]
            residual = reconstruct(residual[..., :height, :width], details)
        return residual[..., : images.shape[-2], : images.shape[-1]]


def decompose(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return one level of the wavelet transform, with mirrored borders.

    Args:
        planes: (N, 1, H, W).

    Returns:
        The approximation (N, 1, h, w) and the horizontal, vertical and diagonal details
        (N, 3, h, w), where h is (H + 7) // 2.
    """
    rows, columns = (_mirror(size, planes.device) for size in planes.shape[-2:])
    bands = F.conv2d(planes[..., rows[:, None], columns], _kernels(planes), stride=2)
    return bands[:, :1], bands[:, 1:]


def reconstruct(approximation: Tensor, details: Tensor) -> Tensor:
    """Undo :func:`decompose`: (N, 1, H, W), one row or column more where they were odd."""
    bands = torch.cat([approximation, details], dim=1)
    return F.conv_transpose2d(bands, _kernels(bands), stride=2, padding=TAPS - 2)


def attenuate(details: Tensor, sigma: float) -> Tensor:
    """Return the noise in coefficients x (N, C, h, w): x s^2 / (v + s^2).

    v = min over windows of max(0, mean x^2 - s^2) is the variance of the signal; x is 0 beyond the
    border.
    """
    energy, noise = details.square(), sigma**2
    means = [F.avg_pool2d(energy, side, stride=1, padding=side // 2) for side in WINDOWS]
    variance = (torch.stack(means).amin(dim=0) - noise).clamp_min(0)
    return details * noise / (variance + noise)


def _mirror(size: int, device: torch.device) -> Tensor:
    """Return the sample indices of a filter along an axis, mirrored with repeated edges."""
    places = torch.arange(2 - TAPS, size + TAPS - 1, device=device) % (2 * size)
    return torch.minimum(places, 2 * size - 1 - places)


def _kernels(like: Tensor) -> Tensor:
    """Return the filters (4, 1, 8, 8): low on both axes, high on the first, the second, both."""
    low = like.new_tensor(DB4)
    high = low.flip(0) * low.new_tensor((1, -1) * (TAPS // 2))
    pairs = ((low, low), (high, low), (low, high), (high, high))
    return torch.stack([torch.outer(*pair) for pair in pairs])[:, None]
