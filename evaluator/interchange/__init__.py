"""Maps to and from the forms that other tools of the field read and write.

``exporting`` writes a map file as the predictions of IMDL-BenCo, as score maps of wsolevaluation,
as COCO results or as plain PNG; ``importing`` makes a map file of what an outside system wrote, so
that it is judged like any other. ``names`` and ``matching`` lead from keys to file names and back.
"""

from evaluator.interchange.exporting import ExportCommand, export_command, export_maps
from evaluator.interchange.importing import ABSENT, ImportCommand, import_command, import_maps
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
