"""Pack a run folder into a released model's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focus.config import from_json
from focus.released.contents import Calibration, Limits, ReleasedModel
from focus.released.features import FeatureStatistics, find_module, pooled_features
from focus.released.format import write_released
from focus.runs import load_network, read_run


def pack_model(
    run: Path | str,
    out: Path | str,
    *,
    name: str,
    calibration: Calibration | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    features: FeatureStatistics | None = None,
    layer: str = "",
    margin: float = 1.3,
    mirror: bool = False,
    trained_on: str = "",
    card: str = "",
    figures: Mapping[str, Any] | None = None,
) -> ReleasedModel:
    """Write the best weights of a run, with all that a verdict needs, into one safetensors file.

    Args:
        run: run folder, a weights file in one, or a released model.
        out: the file to write, ending in .safetensors.
        name: name of the model.
        calibration: see :func:`~focus.model.calibration.fit_calibration`; or the same as a mapping.
        limits: see :func:`~focus.model.quality.fit_limits`; or the same as a mapping.
        features: of the training faces, from :func:`measure_features`.
        layer: module of the features; empty: the detector's ``natural_layer``.
        margin: crop side divided by the longer side of the face box, as in the training crops.
        mirror: examine each face and its mirror image, and take the mean.
        trained_on: the training data in a sentence.
        card: the model card, Markdown.
        figures: measured figures, JSON values.

    Returns:
        The record that was written.

    Raises:
        InputError: not a run, weights that are not finite in half precision, or a value out of
            range.
    """
    found = read_run(Path(run))
    network = load_network(found)
    layer = layer or network.natural_layer
    if features is not None:
        find_module(network, layer)
    if not isinstance(calibration, Calibration | None):
        calibration = from_json(Calibration, calibration)
    if not isinstance(limits, Limits):
        limits = from_json(Limits, limits or {})
    model = ReleasedModel(
        name=name,
        detector=found.kind,
        network={**found.network, **_without_file(found.network)},
        margin=margin,
        mirror=mirror,
        calibration=calibration,
        limits=limits,
        layer=layer if features is not None else "",
        trained_on=trained_on,
        card=card,
        figures=dict(figures or {}),
    )
    write_released(Path(out), model, dict(network.state_dict()), features)
    return model


def _without_file(network: Mapping[str, Any]) -> dict[str, str]:
    """Replace a path of initial weights, which the trained ones overwrite."""
    return {"encoder_weights": "none"} if "encoder_weights" in network else {}


@torch.no_grad()
def measure_features(
    run: Path | str, batches: Iterable[Tensor], layer: str = "", device: str = "cpu"
) -> Tensor:
    """Return the pooled features of face crops, float32 (N, D), for the distance to training.

    Fit them with :meth:`~focus.released.features.FeatureStatistics.fit`.

    Args:
        run: run folder or weights file.
        batches: uint8 (B, 3, H, W) crops, RGB, of the network's input size.
        layer: module whose output is averaged; empty: the detector's ``natural_layer``.
        device: torch device.

    Raises:
        InputError: no such module, or one whose output cannot be averaged.
    """
    network = load_network(read_run(Path(run))).eval().to(device)
    spec = network.input_spec
    with pooled_features(find_module(network, layer or network.natural_layer)) as seen:
        for batch in batches:
            network.predict(spec.standardise(batch.to(device)))
    return torch.cat([each.cpu() for each in seen])
