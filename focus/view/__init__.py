"""Show maps: overlays, contact sheets and the HTML gallery."""

from __future__ import annotations

from focus.view.gallery import ViewCommand, view_command
from focus.view.overlay import SheetRow, colour_map, contact_sheet, outline, overlay, resize_map

__all__ = [
    "SheetRow",
    "ViewCommand",
    "colour_map",
    "contact_sheet",
    "outline",
    "overlay",
    "resize_map",
    "view_command",
]
