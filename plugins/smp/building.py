"""Build a network of segmentation_models_pytorch with weights of our own loader."""

from __future__ import annotations

import difflib
import importlib
import warnings
from typing import Any

import timm
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from plugins import InputError, create_backbone, first_line, read_tensors

_PREFIX = "tu-"  # the package's prefix of timm models


def import_package() -> Any:
    """Return the module ``segmentation_models_pytorch``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        raise InputError(
            f"smp: {error.name} is missing: pip install 'focus-forgery[smp]'"
        ) from None


def build_network(architecture: str, encoder: str, weights: str, size: int) -> nn.Module:
    """Return a network of (map logits, class logits of real and fake).

    Args:
        architecture: name of one of the package's architectures, in any case.
        encoder: a timm model, or one of the package's own encoders.
        weights: ``timm``, ``none`` or a file; see :func:`~focus.backbones.create_backbone`.
        size: side of the square images, for transformers that are built for one size.

    Raises:
        InputError: the package, the architecture or the encoder is missing, they do not fit each
            other, or the weights are not available or do not fit.
    """
    package = import_package()
    known = package.MODEL_ARCHITECTURES_MAPPING
    if architecture.lower() not in known:
        names = ", ".join(sorted(kind.__name__ for kind in known.values()))
        raise InputError(f"--options architecture={architecture}: must be one of {names}")
    name = encoder.removeprefix(_PREFIX)
    if not timm.is_model(name):
        return _build_with_own_encoder(package, architecture, encoder, weights)
    for arguments in ({"img_size": size}, {}):
        try:
            network = _create(package, architecture, f"{_PREFIX}{name}", **arguments)
        except InputError as error:
            reason = error
            continue
        if weights != "none":
            _load_timm(network.encoder.model, name, weights, arguments)
        network.encoder.is_pretrained = weights != "none"
        return network
    raise reason


def standardisation(
    network: Any, encoder: str
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and deviation that the encoder's weights expect, per channel, in [0, 1]."""
    settings: Any = getattr(getattr(network.encoder, "model", None), "pretrained_cfg", None)
    if settings is None:
        kept = import_package().encoders.encoders[encoder]["pretrained_settings"]
        settings = next(iter(kept.values()))
    mean = settings.get("mean") or IMAGENET_DEFAULT_MEAN
    std = settings.get("std") or IMAGENET_DEFAULT_STD
    return tuple(mean), tuple(std)


def _create(package: Any, architecture: str, encoder: str, **arguments: Any) -> Any:
    heads = {"classes": 1, "aux_params": {"classes": 2, "dropout": 0.2}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on arguments that are not ours
            return package.create_model(
                architecture, encoder, encoder_weights=None, **heads, **arguments
            )
    except Exception as error:  # the package and timm raise many types
        raise InputError(
            f"--options architecture={architecture}: cannot be built on the encoder "
            f"{encoder.removeprefix(_PREFIX)} ({first_line(error)})"
        ) from None


def _load_timm(body: Any, name: str, weights: str, arguments: dict[str, int]) -> None:
    """Copy the weights of a timm model, built by our own loader, to the encoder's body."""
    levels = getattr(body.feature_info, "out_indices", None)
    if levels is not None:
        arguments = {**arguments, "features_only": True, "out_indices": levels}
    body.load_state_dict(create_backbone(name, weights, **arguments).state_dict())


def _build_with_own_encoder(
    package: Any, architecture: str, encoder: str, weights: str
) -> nn.Module:
    own = package.encoders.encoders
    if encoder not in own:
        near = difflib.get_close_matches(encoder, {*own, *timm.list_models()}, n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise InputError(
            f"--options encoder={encoder}: neither timm nor segmentation_models_pytorch has such "
            f"an encoder{hint}"
        )
    if weights == "timm":
        raise InputError(
            f"--options encoder={encoder}: timm has no weights of it; give a file as "
            "encoder_weights, or none for random weights"
        )
    network = _create(package, architecture, encoder)
    if weights != "none":
        tensors = {key.removeprefix("encoder."): t for key, t in read_tensors(weights).items()}
        try:
            network.encoder.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                f"encoder weights {weights}: do not fit {encoder} ({first_line(error)})"
            ) from None
    network.encoder.is_pretrained = weights != "none"
    return network
