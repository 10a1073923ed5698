"""What a map generator is: faces in, maps in [0, 1] out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from typing_extensions import Self

from focus.types import InputSpec, Prediction


class Generator(nn.Module, ABC):
    """A way to make manipulation maps; subclasses are found through ``focus.generators``.

    No device, file or logging inside :meth:`predict`: generation moves the module and the images,
    batches, writes and resumes.

    Attributes:
        input_spec: size and standardisation of the images that ``predict`` receives.
        normalisation: how maps reach [0, 1], recorded with the map file.
        weights_sha256: of the weights, recorded with the map file; empty without weights.
        requires_weights: whether a run folder or file of weights must be given.
    """

    input_spec: InputSpec = InputSpec()
    normalisation: str = "none"
    weights_sha256: str = ""
    requires_weights: bool = True

    @classmethod
    @abstractmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Self:
        """Build the generator from a run folder or weights file.

        Raises:
            InputError: weights that are missing or belong to something else.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) in [0, 1] of standardised images (B, 3, H, W)."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return the JSON configuration that, with the weights, determines the maps."""
