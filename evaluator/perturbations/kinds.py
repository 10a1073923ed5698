"""The table of corruptions, and a corruption that can be applied to images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluator.perturbations import deeperforensics as deeper
from evaluator.perturbations import transmission
from evaluator.perturbations.mixture import mix
from focus.errors import InputError


class Corruption(NamedTuple):
    """A kind of corruption: its function, and its parameter at each level, from 1 on."""

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    parameters: tuple[float, ...]
    meaning: str  # of the parameter

    @property
    def levels(self) -> tuple[int, ...]:
        """The available levels."""
        return tuple(range(1, len(self.parameters) + 1))


KINDS = {
    "saturation": Corruption(deeper.desaturate, (0.4, 0.3, 0.2, 0.1, 0.0), "chroma kept"),
    "contrast": Corruption(deeper.lower_contrast, (0.85, 0.725, 0.6, 0.475, 0.35), "factor"),
    "block": Corruption(deeper.cover_frame, (16, 32, 48, 64, 80), "blocks per 256 px"),
    "block-crop": Corruption(deeper.cover_crop, (16, 32, 48, 64, 80), "blocks"),
    "noise": Corruption(deeper.add_noise, (0.001, 0.002, 0.005, 0.01, 0.05), "variance"),
    "blur": Corruption(deeper.blur, (7, 9, 13, 17, 21), "kernel, px"),
    "pixel": Corruption(deeper.pixelate, (2, 3, 4, 5, 6), "factor"),
    "compress": Corruption(transmission.compress, (30, 32, 35, 38, 40), "H.264 crf"),
    "jpeg": Corruption(transmission.code_jpeg, (90, 70, 50, 30, 10), "quality"),
    "resize": Corruption(transmission.resize_back, (0.75, 0.5, 0.375, 0.25, 0.125), "size kept"),
    "mix": Corruption(mix, (1,), "OpenForensics level"),
}
SEVEN = ("saturation", "contrast", "block", "noise", "blur", "pixel", "compress")
"""The seven of DeeperForensics-1.0, over which results are averaged."""


@dataclass(frozen=True)
class Perturbation:
    """One corruption at one level; call it with an image and its key.

    Random choices depend only on (seed, key, kind, level), so a face is the same in every worker,
    process and resumed run. Picklable.

    Raises:
        InputError: unknown kind or level, or ``compress`` without a video encoder.
    """

    kind: str
    """A key of :data:`KINDS`."""
    level: int
    """1 (mild) to 5 (strong)."""
    seed: int = 0
    """Random seed."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"unknown corruption '{self.kind}' (choose from {', '.join(KINDS)})")
        levels = KINDS[self.kind].levels
        if self.level not in levels:
            there = f"1 to {levels[-1]}" if levels[-1] > 1 else "only 1"
            raise InputError(f"{self.kind} has no level {self.level} (available: {there})")
        if self.kind == "compress":
            transmission.require_encoder()

    @property
    def parameter(self) -> float:
        """The strength at this level, in the unit given by the kind's ``meaning``."""
        return KINDS[self.kind].parameters[self.level - 1]

    def __call__(self, image: np.ndarray, key: str) -> np.ndarray:
        """Return the corrupted image.

        Args:
            image: uint8 (H, W, 3), RGB; not modified.
            key: name of the image.

        Returns:
            uint8 (H, W, 3), RGB.

        Raises:
            ValueError: the image has another dtype or shape.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"uint8 (H, W, 3) expected, not {image.dtype} {image.shape}")
        name = f"{self.seed}\0{self.kind}\0{self.level}\0{key}"
        drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
        return KINDS[self.kind].apply(image, self.parameter, np.random.default_rng(drawn))
