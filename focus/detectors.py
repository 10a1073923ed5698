"""Detectors by name: built-in and third-party ones share one registry and one training loop."""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from focus.errors import InputError
from focus.optim import OptimizerConfig
from focus.registry import Registry
from focus.types import Batch, InputSpec, Prediction


class Summary(NamedTuple):
    """A detector in a few words, for the list of ``evaluator models``."""

    paper: str = ""
    """Authors, place and year."""
    output: str = ""
    """What it predicts, beside the score."""
    needs: str = ""
    """Requirements of training beside images and labels."""
    start: str = ""
    """Initial weights by default."""


class Trainable(nn.Module, ABC):
    """A network that computes its own loss, for the training loop.

    A class is built by ``Class(config)``. ``config`` is a frozen dataclass with a default, which
    gives its type. Its field ``encoder_weights``, if any, names the pretrained weights.

    Attributes:
        input_spec: size and standardisation of the images passed to ``loss`` and ``predict``; set
            on the class, or on an instance whose configuration sets the size.
        optimizer: the paper's optimiser and schedule.
        steps: number of optimiser steps in the paper.
        batch: faces per optimiser step in the paper.
        companion: ``original`` if ``batch.companions`` must contain the aligned originals.
        maps_without_supervision: whether its maps are meaningful after training on labels alone.
        normalisation: how its maps are normalised to [0, 1]; recorded in its map files.
        natural_layer: path of the module that class activation maps explain; empty: search for it.
        gmacs: multiply-adds of one forward pass, in 1e9, for a face (or clip) of the paper's size,
            counted over matrix products and convolutions; 0: unknown.
        summary: paper, output, needs and start, for the list of detectors.
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
    summary: ClassVar[Summary] = Summary()

    def begin(self, steps: int) -> None:
        """Called once before training with the total number of loss calls. Default: no-op."""

    def calibrate(self, images: Tensor) -> None:
        """Called once before training with a sample of the training faces. Default: no-op.

        Args:
            images: standardised, (N, 3, [T,] H, W), not augmented, at most 256, evenly spaced.
        """

    def finish(self, batches: Iterable[Batch]) -> None:
        """Called once after training, on the best weights, in evaluation mode. Default: no-op.

        Changes to the network's state are saved with the best weights.

        Args:
            batches: standardised training fakes on the network's device, at most 1,024, evenly
                spaced.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return weighted scalar terms; the loop sums and logs them.

        ``batch.images`` are standardised. ``batch.maps`` have the same height and width, or are
        None in a run without maps: then return only the terms that do not need maps.
        """

    @abstractmethod
    def predict(self, images: Tensor) -> Prediction:
        """Return scores and maps of standardised images (B, 3, [T,] H, W)."""


DETECTORS: Registry[type[Trainable]] = Registry("focus.detectors", "detector")


def config_type(detector: type[Trainable]) -> type[Any]:
    """Return the dataclass that configures a detector: the type of its ``config``'s default.

    Raises:
        InputError: its constructor lacks this parameter.
    """
    parameter = inspect.signature(detector).parameters.get("config")
    default = parameter.default if parameter is not None else None
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        raise InputError(
            f"detector {detector.__qualname__}: its __init__ needs a parameter config whose "
            "default is a dataclass"
        )
    return type(default)
