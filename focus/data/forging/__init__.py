"""Forgeries of real faces with exact masks, for whoever has real photographs only.

``areas`` draws which part of it is forged, ``blending`` blends a
image with its own variant there, ``swapping`` brings in another face; ``making`` turns one face
into its files and ``command`` all of them, in several processes.

Real and forged images are decoded, resized and saved alike, so that no trace of a file tells
them apart. Before they are saved, a forgery equals its original outside the mask. Everything is
drawn from the seed and the face's key: neither the number of processes nor an interruption
changes a byte.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from focus.data.forging.blending import Forgery
    from focus.data.forging.command import ForgeCommand, forge_command
    from focus.data.forging.making import METHODS, forge_face
    from focus.data.forging.swapping import Portrait

__all__ = [
    "METHODS",
    "ForgeCommand",
    "Forgery",
    "Portrait",
    "forge_command",
    "forge_face",
]

_HOMES = {
    "METHODS": "making",
    "ForgeCommand": "command",
    "Forgery": "blending",
    "Portrait": "swapping",
    "forge_command": "command",
    "forge_face": "making",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the processes that forge do so without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
