"""Options of ``focus push``; importing this does not import torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from focus.errors import InputError

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class PushCommand:
    """Upload a trained model to the Hugging Face Hub, with a card."""

    words: tuple[str, ...]
    """The run folder, and the repository: owner/name."""
    license: str = ""
    """Licence of the weights for the card, as the hub names it, such as cc-by-nc-4.0."""
    private: bool = False
    """Create a private repository."""

    def __post_init__(self) -> None:
        if len(self.words) != 2:
            raise InputError(f"focus push {' '.join(self.words)}: use: focus push RUN OWNER/NAME")
        if self.license and not _LICENSE.fullmatch(self.license):
            raise InputError(f"--license {self.license}: give the hub's name, such as mit")
