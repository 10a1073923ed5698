"""Conversion of maps to and from the formats of other tools.

``exporting`` writes a map file as IMDL-BenCo predictions, wsolevaluation score maps, COCO results
or plain PNG; ``importing`` converts predictions of another system to a map file, to be scored like
any other. ``names`` and ``matching`` convert keys to file names and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from evaluator.interchange.exporting import export_command, export_maps
    from evaluator.interchange.importing import ABSENT, import_command, import_maps
    from evaluator.interchange.options import ExportCommand, ImportCommand

__all__ = [
    "ABSENT",
    "ExportCommand",
    "ImportCommand",
    "export_command",
    "export_maps",
    "import_command",
    "import_maps",
]

__getattr__ = lazy(
    __name__,
    {
        "evaluator.interchange.exporting": (
            "export_command",
            "export_maps",
        ),
        "evaluator.interchange.importing": (
            "ABSENT",
            "import_command",
            "import_maps",
        ),
        "evaluator.interchange.options": (
            "ExportCommand",
            "ImportCommand",
        ),
    },
)
