"""FoCus and its ablations as map generators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from focus.errors import InputError
from focus.generators.contract import StoredParts
from focus.generators.trained import TrainedGenerator
from focus.network.maps import finish
from focus.network.model import FoCus, fuse_parts
from focus.runs import Run
from focus.types import FAKE, Prediction


class FocusGenerator(TrainedGenerator):
    """Fused maps of a trained FoCus network: Eq. 5 with Eq. 9, or Eq. 4 for labelled fakes."""

    kind = "focus"
    swap = ""  # fusion of the modalities; empty: as trained
    network: FoCus

    def __init__(self, run: Run, changes: Mapping[str, Any]) -> None:
        super().__init__(run, changes)
        self.normalisation = self.network.config.normalise
        self._description["fusion"] = self.swap or self.network.config.swap
        scale = float(self.network.map_scale)
        if scale != 1:  # set in the best weights only
            self._description["map_scale"] = scale

    @classmethod
    def renormalise(
        cls, stored: StoredParts, settings: Mapping[str, Any], normalisation: str
    ) -> Tensor:
        """Fuse the parts again: Eq. 9, or Eq. 4 for labelled fakes if set so."""
        swap, scale = settings.get("fusion", "gumbel"), settings.get("map_scale", 1.0)
        parts, scores, labels = stored
        fused = fuse_parts(parts, normalisation, swap)  # type: ignore[arg-type]
        if labels is not None and settings.get("equation", 9) == 4:
            both = fuse_parts(parts, normalisation, swap, fake_only=False)  # type: ignore[arg-type]
            fused = torch.where((labels == FAKE)[:, None, None], both, fused)
        return finish(fused, scores, normalisation, scale)  # type: ignore[arg-type]

    def supervise(self, prediction: Prediction, labels: Tensor) -> Prediction:
        """Replace the maps of labelled fakes by Eq. 4, if configured."""
        if self.network.config.equation == 9:
            return prediction
        stored = StoredParts(prediction.parts or {}, prediction.scores, labels)
        settings = {**self._description, "map_scale": self.network.map_scale}
        maps = self.renormalise(stored, settings, self.normalisation)
        return prediction._replace(maps=maps[:, None])


class FocusAttention(FocusGenerator):
    """The ablation without CARP: maps are the encoders' own attention."""

    needed_settings = {"proposal": "attention"}  # noqa: RUF012

    def __init__(self, run: Run, changes: Mapping[str, Any]) -> None:
        if run.kind == "focus" and run.network.get("proposal") != "attention":
            raise InputError(
                f"{run.weights.parent}: trained with region proposals; focus-attention needs a run "
                "of focus train --proposal attention with a ViT encoder"
            )
        super().__init__(run, changes)


class FocusMaximum(FocusGenerator):
    """The ablation without the token swap: the larger value of the two modalities' maps."""

    swap = "maximum"

    def predict(self, images: Tensor) -> Prediction:
        """Return scores (B,), maps (B, 1, h, w) and parts of standardised images."""
        found = self.network.predict(images)
        mode = self.normalisation
        fused = fuse_parts(found.parts or {}, mode, "maximum")  # type: ignore[arg-type]
        maps = finish(fused, found.scores, mode, self.network.map_scale)  # type: ignore[arg-type]
        return Prediction(found.scores, maps[:, None], found.parts)
