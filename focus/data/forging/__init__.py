"""Forgeries of real faces with exact masks, for use with real photographs only.

``areas`` chooses the part of the face to forge, ``blending`` blends the image with a variant of
itself there, ``swapping`` inserts another face; ``making`` writes the files of one face and
``command`` those of all faces, in several processes. ``online`` forges faces in training.

Real and forged images are decoded, resized and saved in the same way, so that files do not reveal
the label. Before saving, a forgery equals its original outside the mask. All random choices depend
only on the seed and the face's key: the files are identical for any number of processes and after
an interruption.
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

# Import on first use: worker processes must not import torch.
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
