"""Detectors by name: what the one loop trains, ours and strangers' through the same door."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from focus.errors import InputError
from focus.optim import OptimizerConfig
from focus.registry import Registry
from focus.types import Batch, InputSpec, Prediction


class Trainable(nn.Module, ABC):
    """What the one training loop trains: a network that knows its own loss.

    A class is built by ``Class(config)``, where ``config`` is a frozen dataclass and has a default:
    so its type is found. A field ``encoder_weights`` of it says what a pretrained part starts from.

    Attributes:
        input_spec: size and standardisation of the images that the two methods below receive; of
            the class, or of an instance whose configuration sets the size.
        optimizer: the paper's optimiser and schedule.
        steps: how many optimiser steps the paper takes.
        batch: faces per optimiser step in the paper.
        companion: ``original`` if ``batch.companions`` shall hold the aligned originals.
        maps_without_supervision: whether its maps mean something after training on labels alone.
        normalisation: how its maps reach [0, 1], recorded with the map files that it makes.
        natural_layer: path of the module that class activation maps explain; empty: search for it.
        gmacs: multiply-adds of one forward pass, in 1e9, of a face (or clip) at the paper's size,
            counted over matrix products and convolutions; 0: unknown.
    """

    input_spec: InputSpec = InputSpec()
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig()
    steps: ClassVar[int] = 30_000
    batch: ClassVar[int] = 128
    companion: str = ""
    maps_without_supervision: bool = False
    normalisation: str = "the detector's own"
    natural_layer: ClassVar[str] = ""
    gmacs: ClassVar[float] = 0.0

    def begin(self, steps: int) -> None:
        """Called once before training with the total number of loss calls. Default: no-op."""

    def calibrate(self, images: Tensor) -> None:
        """Called once before training with a sample of the training faces. Default: no-op.

        Args:
            images: standardised, (N, 3, [T,] H, W), not augmented, at most 256, evenly spaced.
        """

    def finish(self, batches: Iterable[Batch]) -> None:
        """Called once after training, on the best weights, in evaluation mode. Default: no-op.

        What it changes in the network's state is saved with the best weights.

        Args:
            batches: standardised training fakes on the network's device, at most 1,024, evenly
                spaced.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return weighted scalar terms; the loop sums and logs them.

        ``batch.images`` are standardised, and ``batch.maps``, of the same height and width, are
        None in a run without maps: then only the terms that need none are returned.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Return scores and maps of standardised images (B, 3, [T,] H, W)."""


DETECTORS: Registry[type[Trainable]] = Registry("focus.detectors", "detector")


def config_type(detector: type[Trainable]) -> type[Any]:
    """Return the dataclass that configures a detector: the type of its ``config``'s default.

    Raises:
        InputError: its constructor has no such parameter.
    """
    parameter = inspect.signature(detector).parameters.get("config")
    default = parameter.default if parameter is not None else None
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        raise InputError(
            f"detector {detector.__qualname__}: its __init__ needs a parameter config whose "
            "default is a dataclass"
        )
    return type(default)
