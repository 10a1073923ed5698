"""The SDK: all that the author of a detector imports, and the detectors that come with it.

A sub-package a detector, named as it is called; ``targets`` turns maps into supervision, and
``conformance`` is what ``evaluator check NAME`` holds a detector to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from focus.optim import OptimizerConfig
    from focus.types import Batch, InputSpec, Prediction
    from plugins.contract import Detector
    from plugins.registry import get, names, register

__all__ = [
    "Batch",
    "Detector",
    "InputSpec",
    "OptimizerConfig",
    "Prediction",
    "get",
    "names",
    "register",
]
_HOMES = {
    "Batch": "focus.types",
    "InputSpec": "focus.types",
    "Prediction": "focus.types",
    "OptimizerConfig": "focus.optim",
    "Detector": "plugins.contract",
    "get": "plugins.registry",
    "names": "plugins.registry",
    "register": "plugins.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: listing detectors must not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'plugins' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
