"""The record of a released model: everything but its tensors. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from focus.errors import InputError

_LARGEST_LOGIT = 30.0


def logits_of(scores: np.ndarray) -> np.ndarray:
    """Return the log-odds of scores in [0, 1], float64, clipped to +-30."""
    scores = np.asarray(scores, np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(scores) - np.log1p(-scores)
    return np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT)


@dataclass(frozen=True)
class Calibration:
    """From a network's score to P(fake) and a verdict.

    P = sigmoid(logit(score) / temperature + bias). ``low`` and ``high`` are thresholds on P: below
    ``low`` no sign of manipulation, from ``high`` on signs of manipulation.
    """

    temperature: float = 1.0
    bias: float = 0.0
    low: float = 0.5
    high: float = 0.5
    mark: float = 0.5
    """Map value from which a pixel counts as marked."""
    error: float | None = None
    """Expected calibration error of P on the validation faces; None: not measured."""

    def __post_init__(self) -> None:
        _check_finite(self)
        if self.temperature <= 0:
            raise InputError(f"calibration: temperature {self.temperature} must be above 0")
        if not 0 <= self.low <= self.high <= 1:
            raise InputError(
                f"calibration: thresholds {self.low} and {self.high} must rise within [0, 1]"
            )
        if not 0 < self.mark <= 1:
            raise InputError(f"calibration: mark {self.mark} must be in (0, 1]")

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Return P(fake), float64, of the network's scores in [0, 1]; NaN stays NaN."""
        return 1 / (1 + np.exp(-(logits_of(scores) / self.temperature + self.bias)))


@dataclass(frozen=True)
class Limits:
    """Faces that a model can judge; see :class:`focus.model.quality.Quality` for the measures."""

    side: float = 48.0
    """Smallest longer side of the detected box, in pixels."""
    detection: float = 0.6
    """Lowest score of the face detector."""
    sharpness: float = 0.1
    """Lowest sharpness: 0.13 is the first percentile of small portraits, blurred ones are below."""
    chroma: float = 5.0
    """Lowest spread of colour; a grey image has 0."""
    flatness: float = 0.2
    """Largest share of flat pixels: photographs reach 0.03, flat drawings start at 0.29."""
    contrast: float = 10.0
    """Lowest deviation of the brightness, in grey levels; a face in the dark has 9."""
    turn: float = 0.45
    """Largest sideways turn of the head."""
    distance: float = 0.0
    """Largest distance to the training images; 0: not checked."""

    def __post_init__(self) -> None:
        _check_finite(self)
        for each in fields(self):
            if getattr(self, each.name) < 0:
                raise InputError(f"limits: {each.name} must not be negative")


@dataclass(frozen=True)
class ReleasedModel:
    """The record of a released model."""

    name: str
    """Its name, such as focus-small."""
    detector: str
    """Name of the detector in the registry."""
    network: Mapping[str, Any]
    """Configuration of the detector, as JSON."""
    margin: float = 1.3
    """Side of a crop divided by the longer side of the detected box, as in training."""
    mirror: bool = False
    """Examine each face and its mirror image, and take the mean."""
    calibration: Calibration | None = None
    """None: its scores are not probabilities, and it gives no verdict."""
    limits: Limits = field(default_factory=Limits)
    layer: str = ""
    """Path of the module whose mean output is compared with the training images."""
    trained_on: str = ""
    """The data it was trained on, in a sentence."""
    card: str = ""
    """The model card, Markdown."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Measured figures, JSON."""

    def __post_init__(self) -> None:
        if not all(isinstance(part, Mapping) for part in (self.network, self.figures)):
            raise InputError("network and figures must be JSON objects")
        if not 1 <= self.margin <= 4:
            raise InputError(f"margin {self.margin} must be in [1, 4]")


def _check_finite(values: Any) -> None:
    for each in fields(values):
        value = getattr(values, each.name)
        if value is not None and not math.isfinite(value):
            raise InputError(f"{type(values).__name__.lower()}: {each.name} is not a finite number")
