"""The network of any run as a map generator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from typing_extensions import Self

from focus.config import parse_options, to_json
from focus.detectors import DETECTORS, Trainable, config_type
from focus.errors import InputError
from focus.files import sha256
from focus.generators.contract import Generator, StoredParts
from focus.normalisation import weigh_evidence
from focus.runs import Run, load_network, read_run
from focus.types import Prediction


class TrainedGenerator(Generator):
    """Maps predicted by the network of a run folder.

    Class attribute ``kind`` is the accepted kind of run; empty: any.
    """

    kind = ""

    def __init__(self, run: Run, changes: Mapping[str, Any]) -> None:
        super().__init__()
        if self.kind not in ("", run.kind):
            raise InputError(
                f"{run.weights.parent}: is a {run.kind} run; a {self.kind} run is needed"
            )
        self.network: Trainable = load_network(run, changes).eval()
        self.input_spec = self.network.input_spec
        self.normalisation = self.network.normalisation
        self.weights_sha256 = sha256(run.weights)
        # Maps depend on the trained weights (recorded by hash), not on the initial ones.
        known = {**run.network, **changes, "detector": run.kind}
        self._description = {k: v for k, v in known.items() if k != "encoder_weights"}
        about = {
            "trained_on": run.trained_on,
            "trained_images": dict(run.images),
            "trained_margin": run.margin,
        }
        self._description |= {name: value for name, value in about.items() if value}

    @classmethod
    def load(cls, weights: Path | None, options: Mapping[str, str]) -> Self:
        """Build from a run folder, or from a weights file in one."""
        if weights is None:
            raise InputError(f"--weights is missing: give a {cls.kind or 'trained'} run folder")
        return cls(read_run(weights), cls.changes(options))

    @classmethod
    def changes(cls, options: Mapping[str, str]) -> dict[str, Any]:
        """Return the changes of the options to the network's configuration.

        Raises:
            InputError: a name that the configuration does not have, or a wrong value.
        """
        if not options:
            return {}
        config = parse_options(config_type(DETECTORS.get(cls.kind)), options)
        return {name: to_json(config)[name] for name in options}

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of standardised images."""
        return self.network.predict(images)

    def describe(self) -> Mapping[str, Any]:
        """Return the network's configuration."""
        return self._description

    @classmethod
    def renormalise(
        cls, stored: StoredParts, settings: Mapping[str, Any], normalisation: str
    ) -> Tensor:
        """Weigh the raw evidence again, if the detector keeps it as ``parts["raw"]``."""
        if "raw" not in stored.parts:
            return super().renormalise(stored, settings, normalisation)
        scale = settings.get("map_scale", 1.0)
        return weigh_evidence(stored.parts["raw"][:, 0], stored.scores, normalisation, scale)  # type: ignore[arg-type]
