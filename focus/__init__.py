"""FoCus: manipulation maps for face forgery detection, learned from real/fake labels alone."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from focus.mapstore import MapReader, MapWriter
    from focus.network.model import FoCus

__all__ = ["FoCus", "MapReader", "MapWriter"]

_HOMES = {
    "FoCus": "focus.network.model",
    "MapReader": "focus.mapstore",
    "MapWriter": "focus.mapstore",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line starts without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'focus' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
