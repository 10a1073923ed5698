"""Random combinations in the style of OpenForensics (Le et al., ICCV 2021), its mildest level.

Applies one or two of three families, in this order: colour; noise, blur or sharpening; JPEG or
weather. Colour is one operation from each of one to three of four groups (hue, saturation,
brightness, contrast), in random order. Groups, probabilities and ranges are those of the code
published with OpenForensics. Deviations: the operations are reimplemented with OpenCV, so images
are similar but not equal pixel by pixel; addition, multiplication and contrast treat all channels
alike, whereas the published code treats channels separately half of the time; a mean blur is at
least 2 px wide, whereas the published code allows 1 px, which has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from evaluator.perturbations import weather
from focus.data.degrading import recompress

Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
HUES, HUE_STEPS = 180, 255  # hues of a full circle in OpenCV, and in the units of the shifts
SAVED_QUALITY = 100
JPEG_QUALITIES = (25, 18, 15, 10)


def mix(image: np.ndarray, _: float, generator: np.random.Generator) -> np.ndarray:
    """Apply one or two of the families, then JPEG coding at quality 100."""
    families = _choose((_recolour, _one_of(TEXTURE), _one_of(EFFECTS)), generator, 2)
    return recompress(_apply(families, image, generator), SAVED_QUALITY)


def _recolour(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    chosen = _choose([_one_of(group) for group in COLOUR], generator, 3)
    order = generator.permutation(len(chosen)).tolist()
    return _apply([chosen[place] for place in order], image, generator)


def _choose(
    operations: Sequence[Operation], generator: np.random.Generator, most: int
) -> list[Operation]:
    """Return one to ``most`` random operations, in the given order."""
    count = generator.integers(1, most, endpoint=True)
    places = generator.permutation(len(operations))[:count]
    return [operations[place] for place in sorted(places.tolist())]


def _one_of(operations: Sequence[Operation]) -> Operation:
    def apply(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return operations[int(generator.integers(len(operations)))](image, generator)

    return apply


def _apply(
    operations: Sequence[Operation], image: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    for operation in operations:
        image = operation(image, generator)
    return image


# Colour


def shift_hue(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Shift the hue by up to 30 of the 255 steps of the circle, either way."""
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    turn = round(generator.uniform(-30, 30) * HUES / HUE_STEPS)
    planes[..., 0] = (planes[..., 0].astype(np.int16) + turn) % HUES
    return cv2.cvtColor(planes, cv2.COLOR_HSV2RGB)


def shift_values(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add -30 to 30 levels to all channels."""
    return _to_bytes(image + np.float32(generator.uniform(-30, 30)))


def scale_values(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Multiply all channels by 0.7 to 1.3."""
    return _to_bytes(image * np.float32(generator.uniform(0.7, 1.3)))


def change_saturation(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Multiply the saturation by 0.7 to 1.3, or add -30 to 30 levels."""
    return _change_plane(image, 1, generator)


def change_brightness(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Multiply the brightness (V of HSV) by 0.7 to 1.3, or add -30 to 30 levels."""
    return _change_plane(image, 2, generator)


def mix_in_grey(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blend with the grey image at a weight of 0.3 to 0.7."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = generator.uniform(0.3, 0.7)
    return cv2.addWeighted(image, 1 - share, grey, share, 0)


def change_contrast(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Change contrast by a sigmoid (gain 3 to 10), a log (0.6 to 1.4) or a line (0.5 to 2)."""
    kind = generator.integers(3)
    levels = np.arange(256, dtype=np.float32) / 255
    if kind == 0:
        levels = 1 / (1 + np.exp(generator.uniform(3, 10) * (0.5 - levels)))
    elif kind == 1:
        levels = generator.uniform(0.6, 1.4) * np.log2(1 + levels)
    else:
        levels = 0.5 + generator.uniform(0.5, 2) * (levels - 0.5)
    return cv2.LUT(image, _to_bytes(255 * levels))


def _change_plane(image: np.ndarray, plane: int, generator: np.random.Generator) -> np.ndarray:
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    change = scale_values if generator.random() < 0.5 else shift_values
    planes[..., plane] = change(planes[..., plane], generator)
    return cv2.cvtColor(planes, cv2.COLOR_HSV2RGB)


# Noise, blur, sharpening


def scale_pixels(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Multiply every value by an independent factor of 0.8 to 1.2."""
    return _to_bytes(image * generator.uniform(0.8, 1.2, image.shape))


def add_gaussian(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise with a standard deviation of up to 20 levels."""
    return _to_bytes(image + generator.normal(0, generator.uniform(0, 20), image.shape))


def blur_gaussian(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Gaussian blur, sigma 0.5 to 2 px."""
    return cv2.GaussianBlur(image, (0, 0), generator.uniform(0.5, 2))


def blur_mean(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mean filter with a side of 2 to 5 px."""
    side = int(generator.integers(2, 5, endpoint=True))
    return cv2.blur(image, (side, side))


def blur_median(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Median filter with a side of 3 or 5 px."""
    return cv2.medianBlur(image, int(generator.choice([3, 5])))


def sharpen(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blend with the sharpened image (3 x 3 Laplacian added) at a weight of 0.1 to 0.4."""
    kernel = np.full((3, 3), -1, dtype=np.float32)
    kernel[1, 1] = 9
    share = generator.uniform(0.1, 0.4)
    return cv2.addWeighted(image, 1 - share, cv2.filter2D(image, -1, kernel), share, 0)


# JPEG


def code_coarsely(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """JPEG of quality 25, 18, 15 or 10."""
    return recompress(image, int(generator.choice(JPEG_QUALITIES)))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


COLOUR: tuple[tuple[Operation, ...], ...] = (
    (shift_hue, shift_values, scale_values),
    (change_saturation, change_saturation, mix_in_grey),  # the published code has the first twice
    (change_brightness,),
    (change_contrast,),
)
TEXTURE: tuple[Operation, ...] = (
    scale_pixels,
    add_gaussian,
    blur_gaussian,
    blur_mean,
    blur_median,
    sharpen,
)
EFFECTS: tuple[Operation, ...] = (
    code_coarsely,
    weather.frost,
    weather.clouds,
    weather.fog,
    weather.snow,
    weather.rain,
    weather.snowflakes,
)
