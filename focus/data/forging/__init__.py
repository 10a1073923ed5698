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

from typing import TYPE_CHECKING

from focus.lazy import lazy

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

# Import on first use: the processes that forge do so without torch.
__getattr__ = lazy(
    __name__,
    {
        "focus.data.forging.making": (
            "METHODS",
            "forge_face",
        ),
        "focus.data.forging.command": (
            "ForgeCommand",
            "forge_command",
        ),
        "focus.data.forging.blending": ("Forgery",),
        "focus.data.forging.swapping": ("Portrait",),
    },
)
