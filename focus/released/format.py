"""Read and write released models: tensors and a JSON record in one safetensors file.

Network weights are in half precision (vectors and scalars, such as the statistics of
normalisation layers, in full), named ``network.NAME``; the statistics of training features are
named ``features.NAME``. Reading never unpickles; a damaged or hostile file is one line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from focus.backbones import read_tensors, write_tensors
from focus.config import to_json
from focus.errors import InputError, first_line
from focus.released.contents import ReleasedModel
from focus.released.features import FeatureStatistics
from focus.released.record import FORMAT, RECORD, VERSION, read_record

_NETWORK, _FEATURES = "network.", "features."


class ReleasedFile(NamedTuple):
    """Content of a released model's file."""

    model: ReleasedModel
    network: dict[str, Tensor]  # float32 where the file has halves
    features: FeatureStatistics | None


def write_released(
    path: Path,
    model: ReleasedModel,
    network: dict[str, Tensor],
    features: FeatureStatistics | None = None,
) -> None:
    """Write a released model; the file appears whole, in one rename.

    Args:
        path: the file, ending in .safetensors.
        model: its record.
        network: state dict of the network.
        features: statistics of the training features.

    Raises:
        InputError: another suffix, weights that are not finite in half precision, or a path that
            cannot be written.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: must end in .safetensors")
    tensors = {f"{_NETWORK}{name}": _halve(value) for name, value in network.items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: {name} is not finite in half precision")
    if features is not None:
        tensors |= {f"{_FEATURES}{name}": v for name, v in features._asdict().items()}
    record = {"format": FORMAT, "format_version": VERSION, **to_json(model)}
    write_tensors(tensors, path, {RECORD: json.dumps(record, sort_keys=True)})


def read_released(path: Path) -> ReleasedFile:
    """Read a released model.

    Raises:
        InputError: not a released model, a damaged one, or values that are not finite.
    """
    model, tensors = read_record(path), read_tensors(path)
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: damaged: {name} has values that are not finite")
    network = {
        name.removeprefix(_NETWORK): value.float() if value.dtype == torch.float16 else value
        for name, value in tensors.items()
        if name.startswith(_NETWORK)
    }
    given: dict[str, Any] = {
        name.removeprefix(_FEATURES): value
        for name, value in tensors.items()
        if name.startswith(_FEATURES)
    }
    if not network:
        raise InputError(f"{path}: has no network weights")
    try:
        features = FeatureStatistics(**given).checked() if given else None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged statistics of features ({first_line(error)})") from None
    return ReleasedFile(model, network, features)


def is_released(path: Path) -> bool:
    """Return whether a file has the record of a released model; checks its header alone."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "np") as file:
            return RECORD in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _halve(value: Tensor) -> Tensor:
    """Return matrices and kernels as float16, everything else unchanged."""
    value = value.detach().cpu().clone().contiguous()
    return value.half() if value.is_floating_point() and value.ndim > 1 else value
