"""FoCus: manipulation maps for face forgery detection, learned from real/fake labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from focus.mapstore import MapReader, MapWriter
    from focus.network.model import FoCus

__all__ = ["FoCus", "MapReader", "MapWriter"]

# Import on first use, so that the command line starts without torch.
__getattr__ = lazy(
    __name__,
    {
        "focus.network.model": ("FoCus",),
        "focus.mapstore": (
            "MapReader",
            "MapWriter",
        ),
    },
)
