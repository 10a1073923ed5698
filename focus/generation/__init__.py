"""Faces to generator to map file: ``command`` calls ``running``, which joins the other two.

``pipeline`` decodes, computes and writes beside each other; ``processes`` shares the parts of the
file between the processes of ``accelerate launch``.
"""

from focus.generation.command import GenerateCommand, generate_command, load_generator
from focus.generation.exporting import ExportCommand, export_command
from focus.generation.renormalising import RenormaliseCommand, renormalise_command
from focus.generation.running import GenerationConfig, Report, generate

__all__ = [
    "ExportCommand",
    "GenerateCommand",
    "GenerationConfig",
    "RenormaliseCommand",
    "Report",
    "export_command",
    "generate",
    "generate_command",
    "load_generator",
    "renormalise_command",
]
