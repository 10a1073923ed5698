"""FoCus: manipulation maps for face forgery detection, learned from real/fake labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from focus.mapstore import MapReader, MapWriter
    from focus.model.faces import FaceModel, load
    from focus.model.results import Face, Result
    from focus.network.model import FoCus

    __version__: str

__all__ = ["Face", "FaceModel", "FoCus", "MapReader", "MapWriter", "Result", "__version__", "load"]

# Import on first use, so that the command line starts without torch.
__getattr__ = lazy(
    __name__,
    {
        "focus.network.model": ("FoCus",),
        "focus.model.faces": ("FaceModel", "load"),
        "focus.model.results": ("Face", "Result"),
        "focus.version": ("__version__",),
        "focus.mapstore": (
            "MapReader",
            "MapWriter",
        ),
    },
)
