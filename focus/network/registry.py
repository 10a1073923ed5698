"""Detectors by name: what the one loop trains, ours and strangers' through the same door."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from focus.errors import InputError
from focus.registry import Registry
from focus.types import Trainable

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
