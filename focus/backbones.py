"""Pretrained parts: timm models by name, and weights from files without unpickling."""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from focus.errors import InputError, count_of, first_line
from focus.files import replace_file
from focus.runtime import note


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read a state dict from safetensors or a tensors-only .pth; never unpickles objects.

    Raises:
        InputError: a missing or unreadable file, or one that contains more than tensors.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles, which are refused anyway
            values = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot read weights ({first_line(error)})") from None
    except Exception:  # torch.load raises many types, and advises to unpickle
        raise InputError(_not_tensors(path)) from None
    for key in ("state_dict", "model"):
        if isinstance(values, dict) and isinstance(values.get(key), dict):
            values = values[key]
    if not isinstance(values, dict) or not all(isinstance(v, Tensor) for v in values.values()):
        raise InputError(f"{path}: does not contain a state dict of tensors")
    return {name.removeprefix("module."): value for name, value in values.items()}


def write_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors and metadata as safetensors; the file appears whole, in one rename.

    Raises:
        InputError: see :func:`~focus.files.replace_file`.
    """
    with replace_file(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # the error number is only in its text
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def _not_tensors(path: Path) -> str:
    """Return why torch cannot load a file, in one line."""
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80" or start == b"PK":  # a pickle, or a zip archive of one
        return (
            f"{path}: damaged, or not a tensors-only checkpoint (other objects could run code and "
            "are not loaded); convert it to safetensors at its source"
        )
    return f"{path}: not a weights file; give safetensors or a tensors-only .pth"


def create_backbone(name: str, weights: str, **arguments: Any) -> Any:
    """Return a timm model, with an attribute ``is_pretrained``.

    Args:
        name: name of the model.
        weights: ``timm`` (downloaded), ``none`` (random), or a file of this model's tensors
            (safetensors or a tensors-only .pth); its classifier may be missing or differ.
        arguments: arguments of ``timm.create_model``, such as ``features_only`` or ``num_classes``.

    Raises:
        InputError: an unknown model, or weights that are not available or do not fit.
    """
    source: dict[str, Any] = {"pretrained": False}
    tensors: dict[str, Tensor] = {}
    if weights == "timm":
        source = {"pretrained": True}
    elif weights != "none":
        tensors = {key: _as_convolution(key, value) for key, value in read_tensors(weights).items()}
        source = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise InputError(
            f"encoder {name}: timm has no such model" + (f"; near: {near}" if near else "")
        )
    # Silence timm's warnings about unused classifier weights, and the hub's about retries.
    loggers = [logging.getLogger(package) for package in ("timm", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    hint = threading.Timer(
        5, note, [f"{name}: downloading timm's weights from the Hugging Face hub"]
    )
    if weights == "timm":
        hint.start()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        body: Any = timm.create_model(name, **arguments, **source)
    except Exception as error:  # timm and the hub raise many types
        raise InputError(_explain(name, weights, error)) from None
    finally:
        hint.cancel()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    body.is_pretrained = weights != "none"
    if tensors:
        # timm renames "stages.0" to "stages_0" in feature-only models.
        given = {tensor.replace("_", ".") for tensor in tensors}
        known = sum(tensor.replace("_", ".") in given for tensor in body.state_dict())
        if known < len(body.state_dict()) / 2:
            count = count_of(len(body.state_dict()), "tensor")
            raise InputError(
                f"encoder weights {weights}: only {known:,} of {count} belong to {name}"
            )
    return body


def _as_convolution(key: str, value: Tensor) -> Tensor:
    """Add two axes to pointwise kernels, which old Xception files store as matrices."""
    return value[..., None, None] if value.ndim == 2 and "pointwise" in key else value


def _explain(name: str, weights: str, error: Exception) -> str:
    reason = first_line(error)
    if weights == "timm":
        return (
            f"encoder {name}: cannot be built with timm's weights ({reason}); offline, give a "
            "file as encoder weights, or none for random weights"
        )
    return f"encoder {name}: cannot be built ({reason})"
