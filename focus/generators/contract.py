"""The interface of a map generator: faces in, maps in [0, 1] out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import Self

from focus.errors import InputError
from focus.types import InputSpec, Prediction


class StoredParts(NamedTuple):
    """Tensors from which the maps of N faces can be computed again."""

    parts: Mapping[str, Tensor]
    """One row per face; ``/parts`` of a map file."""
    scores: Tensor
    """P(fake), (N,)."""
    labels: Tensor | None = None
    """int (N,): 0 real, 1 fake, -1 unknown; None where maps must not depend on them."""


class Generator(nn.Module, ABC):
    """Base of map generators; subclasses register through ``focus.generators``.

    :meth:`predict` does not select devices, access files or log: the generation loop moves the
    module and the images, batches, writes and resumes.

    Attributes:
        input_spec: size and standardisation of the images that ``predict`` receives.
        normalisation: how maps reach [0, 1], recorded with the map file.
        weights_sha256: hash of the weights, recorded with the map file; empty without weights.
        requires_weights: whether a run folder or weights file must be given.
        needed_settings: settings (as strings) that its network must have been trained with.
        companion: ``original`` or ``mask`` for a :class:`PairGenerator`, empty for the others.
    """

    input_spec: InputSpec = InputSpec()
    normalisation: str = "none"
    weights_sha256: str = ""
    requires_weights: bool = True
    needed_settings: ClassVar[Mapping[str, str]] = {}
    companion: str = ""

    @classmethod
    @abstractmethod
    def load(cls, weights: Path | None, options: Mapping[str, str]) -> Self:
        """Build the generator.

        Args:
            weights: a run folder or weights file, or None.
            options: values of ``--options NAME=VALUE``, and ``normalise`` if given.

        Raises:
            InputError: missing or unsuitable weights, a wrong option.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) in [0, 1] of standardised images (B, 3, H, W)."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """Return the JSON configuration that, with the weights, determines the maps."""

    @classmethod
    def changes(cls, options: Mapping[str, str]) -> dict[str, Any]:
        """Return settings as JSON values, for maps recomputed from the parts of a map file.

        Raises:
            InputError: a setting that this generator does not have, or a wrong value.
        """
        raise InputError(
            f"--options {next(iter(options))}: maps of {cls.__name__} have no settings"
        )

    def supervise(self, prediction: Prediction, labels: Tensor) -> Prediction:
        """Return the prediction with maps for use as training supervision. Default: unchanged.

        Called only where the maps of faces labelled real are zeroed.

        Args:
            prediction: of a batch, from :meth:`predict`.
            labels: int64 (B,): 0 real, 1 fake, -1 unknown.
        """
        return prediction

    @classmethod
    def renormalise(
        cls, stored: StoredParts, settings: Mapping[str, Any], normalisation: str
    ) -> Tensor:
        """Return maps (N, h, w) from the ``/parts`` of a map file.

        Args:
            stored: the tensors behind the maps.
            settings: result of :meth:`describe`; ``map_scale`` is the constant of ``global``.
            normalisation: ``class_minmax``, ``fused_minmax``, ``global`` or ``image_minmax``.

        Raises:
            InputError: maps of this generator cannot be renormalised.
        """
        raise InputError(f"maps of {cls.__name__} have no other normalisation")


class PairGenerator(Generator):
    """A generator that compares a face with its aligned original, or uses its truth mask.

    ``input_spec.image_size`` 0 keeps the images' own size. Scores are NaN.
    """

    requires_weights = False
    companion = "original"

    @abstractmethod
    def compare(self, images: Tensor, companions: Tensor) -> Prediction:
        """Return maps of standardised images (B, 3, H, W) and uint8 companions (B, C, H, W)."""

    def predict(self, images: Tensor) -> Prediction:
        """Raise InputError: a face alone cannot be compared."""
        raise InputError(f"{type(self).__name__} needs the {self.companion} of every face")

    @staticmethod
    def no_scores(images: Tensor) -> Tensor:
        """Return NaN for every face, float32 (B,)."""
        return torch.full((len(images),), torch.nan, device=images.device)
