"""FoCus itself as a map generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor
from typing_extensions import Self

from focus.errors import InputError
from focus.generators.contract import Generator
from focus.network.model import FoCus
from focus.network.runs import Run, load_network, read_run, sha256
from focus.types import Prediction, Trainable

N = TypeVar("N", bound=Trainable)


class RunGenerator(Generator, Generic[N]):
    """A generator whose network comes from a run folder.

    Class attribute ``kind`` says which runs it takes.
    """

    kind = ""
    network: N

    def __init__(self, run: Run, changes: Mapping[str, Any]) -> None:
        super().__init__()
        if run.kind != self.kind:
            raise InputError(
                f"{run.weights.parent}: holds a {run.kind} run; this needs a {self.kind} one"
            )
        self.network = load_network(run, changes).eval()  # type: ignore[assignment]
        self.input_spec = self.network.input_spec
        self.weights_sha256 = sha256(run.weights)
        self._description = {**run.network, **changes}

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, Any]) -> Self:
        """Build from a run folder or weights file; ``options["normalise"]`` as in FoCusConfig."""
        if weights is None:
            raise InputError(f"--weights is missing: a {cls.kind} run folder")
        return cls(read_run(weights), cls.changes(options))

    @classmethod
    def changes(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the options change in the network's configuration."""
        return {}

    def describe(self) -> Mapping[str, Any]:
        """Return the network's configuration."""
        return self._description


class FocusGenerator(RunGenerator[FoCus]):
    """Fused maps of a trained FoCus network (Eq. 5 with Eq. 9)."""

    kind = "focus"

    def __init__(self, run: Run, changes: Mapping[str, Any]) -> None:
        super().__init__(run, changes)
        self.normalisation = self.network.config.normalise

    @classmethod
    def changes(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the normalisation, if one was asked for."""
        return {name: value for name, value in options.items() if name == "normalise" and value}

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of images (B, 3, H, W) in [0, 1]."""
        return self.network.predict(images)
