"""Maps to and from the forms that other tools of the field read and write.

``exporting`` writes a map file as the predictions of IMDL-BenCo, as score maps of wsolevaluation,
as COCO results or as plain PNG; ``importing`` makes a map file of what an outside system wrote, so
that it is judged like any other. ``names`` and ``matching`` lead from keys to file names and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from evaluator.interchange.exporting import export_command, export_maps
    from evaluator.interchange.importing import ABSENT, import_command, import_maps
    from evaluator.interchange.options import ExportCommand, ImportCommand
    from evaluator.interchange.rle import encode_rle

__all__ = [
    "ABSENT",
    "ExportCommand",
    "ImportCommand",
    "encode_rle",
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
        "evaluator.interchange.rle": ("encode_rle",),
    },
)
