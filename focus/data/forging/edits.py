"""Local edits of an image, by kind: the content that :func:`composite` blends into an area.

Each is a function of the image (uint8 (H, W, 3), RGB; not modified), the area, a random generator,
and a donor: another image of the same size, or None. It returns the area's window, uint8 (h, w, 3).
The kinds differ in the trace that they leave: geometry (warp), missing texture (inpaint, smooth),
repeated texture (clone), other content (splice), light (recolour), noise level (noise), sampling
(resample), and the band limit of a decoder (decode).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from focus.data.degrading import METHODS, recompress, rescale, sharpen
from focus.data.forging.areas import Area
from focus.data.forging.swapping import clone_seamlessly, match_colours

Edit = Callable[[np.ndarray, Area, np.random.Generator, "np.ndarray | None"], np.ndarray]
NEEDS_DONOR = frozenset({"splice"})
_LARGEST_INPAINT = 96
_SMALLEST_SEAMLESS = 32


def warp(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Push, pinch or bulge the content, by 4 to 15 % of the area's size."""
    rows, columns = area.window
    height, width = area.weight.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    size, reach = np.sqrt(height * width), area.weight / max(float(area.weight.max()), 1e-6)
    strength = float(rng.uniform(0.04, 0.15))
    if rng.random() < 0.5:  # towards or away from the centre
        sign = float(rng.choice([-1.0, 1.0])) * 1.6 * strength
        move_x, move_y = sign * (x - width / 2), sign * (y - height / 2)
    else:
        field = rng.normal(0, 1, (4, 4, 2)).astype(np.float32)
        smooth = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        move_x, move_y = (strength * size * smooth[..., axis] for axis in (0, 1))
    at_x = x + columns.start + reach * move_x
    at_y = y + rows.start + reach * move_y
    at = at_x.astype(np.float32), at_y.astype(np.float32)
    return cv2.remap(image, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def inpaint(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Fill the area from its surroundings, by Telea's method or by Navier-Stokes."""
    inside = (area.weight > 0).astype(np.uint8)
    content = image[area.window]
    method = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    height, width = inside.shape
    scale = min(1.0, _LARGEST_INPAINT / max(height, width))  # its time grows with the area
    small = max(round(width * scale), 1), max(round(height * scale), 1)
    hole = cv2.resize(inside, small, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(cv2.resize(content, small, interpolation=cv2.INTER_AREA), hole, 3, method)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    grain = rng.normal(0, rng.uniform(0, 4), (height, width, 1))
    return _to_bytes(filled + grain)


def smooth(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Remove skin texture: a bilateral, median or Gaussian filter."""
    content = np.ascontiguousarray(image[area.window])
    kind = rng.integers(3)
    if kind == 0:
        return cv2.bilateralFilter(content, 7, float(rng.uniform(25, 70)), 5)
    if kind == 1:
        return cv2.medianBlur(content, int(rng.choice([3, 5])))
    return cv2.GaussianBlur(content, (0, 0), float(rng.uniform(0.7, 2.0)))


def clone(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Copy another place of the image, or the mirrored one, and match its colours."""
    height, width = image.shape[:2]
    source = image
    if rng.random() < 0.4:
        source = image[:, ::-1]
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.4) * min(height, width)
    shift = far * np.array([np.cos(angle), np.sin(angle)])
    return _insert(_shifted(source, shift, area), image, area, rng)


def splice(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Insert the same place of the donor, slightly moved, and match its colours."""
    if donor is None:
        return clone(image, area, rng, donor)
    shift = rng.normal(0, 0.03 * min(image.shape[:2]), 2)
    return _insert(_shifted(donor, shift, area), image, area, rng)


def recolour(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Change hue, saturation and light, as make-up and relighting do."""
    content = cv2.cvtColor(image[area.window], cv2.COLOR_RGB2HSV).astype(np.float32)
    content[..., 0] = (content[..., 0] + rng.normal(0, 8)) % 180
    content[..., 1] *= float(np.exp(rng.normal(0, 0.35)))
    height, width = area.weight.shape
    slope = rng.normal(0, 0.15, 2)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    content[..., 2] *= np.exp(rng.normal(0, 0.15) + slope[0] * x + slope[1] * y)
    return cv2.cvtColor(_to_bytes(content), cv2.COLOR_HSV2RGB)


def noise(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Change the noise level: added grain, white or soft, or a coarser JPEG."""
    content = image[area.window]
    kind = rng.integers(3)
    if kind == 2:
        return recompress(content, int(rng.integers(20, 70)))
    grain = rng.normal(0, rng.uniform(3, 10), content.shape).astype(np.float32)
    soft = 2 * cv2.GaussianBlur(grain, (0, 0), 0.8)
    return _to_bytes(content + (soft if kind == 1 else grain))


def resample(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Shrink and enlarge, or sharpen: the traces of an insert of another resolution."""
    content = np.ascontiguousarray(image[area.window])
    if rng.random() < 0.35:
        return sharpen(content, float(rng.uniform(0.7, 1.6)), float(rng.uniform(0.8, 2.5)))
    factor = rng.uniform(1.3, 3.0)
    # From 1 on: random integers of another range would be other numbers.
    down, up = (METHODS[int(which) - 1] for which in rng.integers(1, len(METHODS) + 1, 2))
    return rescale(content, factor, down, up)


def decode(
    image: np.ndarray, area: Area, rng: np.random.Generator, donor: np.ndarray | None
) -> np.ndarray:
    """Imitate a decoder: drop high frequencies, upsample twice by zero insertion, sharpen."""
    content = image[area.window].astype(np.float32)
    height, width = content.shape[:2]
    even = height + height % 2, width + width % 2
    padded = cv2.copyMakeBorder(
        content, 0, even[0] - height, 0, even[1] - width, cv2.BORDER_REPLICATE
    )
    kept = rng.uniform(0.35, 0.9)
    planes = [_low_pass(plane, kept) for plane in cv2.split(padded)]
    limited = cv2.merge(planes)
    small = cv2.resize(limited, (even[1] // 2, even[0] // 2), interpolation=cv2.INTER_AREA)
    spread = np.zeros_like(limited)
    spread[::2, ::2] = 4 * small
    kernel = np.outer(*[_random_taps(rng)] * 2)
    upsampled = cv2.filter2D(spread, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    share = rng.uniform(0.4, 1.0)
    mixed = share * upsampled + (1 - share) * limited
    return _to_bytes(mixed[:height, :width])


def _low_pass(plane: np.ndarray, kept: float) -> np.ndarray:
    """Remove the upper part of a plane's cosine spectrum."""
    spectrum = cv2.dct(plane)
    rows, columns = (max(int(side * kept), 2) for side in plane.shape)
    spectrum[rows:] = 0
    spectrum[:, columns:] = 0
    return cv2.idct(spectrum)


def _random_taps(rng: np.random.Generator) -> np.ndarray:
    """Return the taps of an interpolation by two that is slightly uneven, as learned ones are."""
    taps = np.array([0.25, 0.5, 0.25]) + rng.normal(0, 0.004, 3)
    return (taps / taps.sum()).astype(np.float32)


def _shifted(source: np.ndarray, shift: np.ndarray, area: Area) -> np.ndarray:
    """Return the area's window of an image that is moved by ``shift`` (x, y), mirrored outside."""
    rows, columns = area.window
    height, width = area.weight.shape
    matrix = np.array([[1, 0, columns.start + shift[0]], [0, 1, rows.start + shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mirrored = cv2.BORDER_REFLECT_101
    return cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=mirrored)


def _insert(
    content: np.ndarray, image: np.ndarray, area: Area, rng: np.random.Generator
) -> np.ndarray:
    """Return content in the colours of the image, one time in four joined by gradients."""
    below = np.ascontiguousarray(image[area.window])
    if not (area.weight > 0).any():
        return below
    content = match_colours(np.ascontiguousarray(content), below, area.weight)
    roomy = min(area.weight.shape) >= _SMALLEST_SEAMLESS and (area.weight[1:-1, 1:-1] > 0).any()
    if roomy and rng.random() < 0.25:
        return clone_seamlessly(content, below, area.weight)
    return content


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


EDITS: dict[str, Edit] = {
    "warp": warp,
    "inpaint": inpaint,
    "smooth": smooth,
    "clone": clone,
    "splice": splice,
    "recolour": recolour,
    "noise": noise,
    "resample": resample,
    "decode": decode,
}
"""Kinds of edit by name."""
