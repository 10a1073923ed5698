"""From faces through a generator to a map file: ``command`` calls ``running``.

``pipeline`` decodes, computes and writes in parallel; ``processes`` divides the parts of the file
among the processes of ``accelerate launch``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from focus.generation.command import generate_command, load_generator
    from focus.generation.exporting import export_command
    from focus.generation.options import (
        ExportCommand,
        GenerateCommand,
        GenerationConfig,
        RenormaliseCommand,
    )
    from focus.generation.renormalising import renormalise_command
    from focus.generation.running import Report, generate

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

__getattr__ = lazy(
    __name__,
    {
        "focus.generation.command": (
            "generate_command",
            "load_generator",
        ),
        "focus.generation.exporting": ("export_command",),
        "focus.generation.options": (
            "ExportCommand",
            "GenerateCommand",
            "GenerationConfig",
            "RenormaliseCommand",
        ),
        "focus.generation.renormalising": ("renormalise_command",),
        "focus.generation.running": (
            "Report",
            "generate",
        ),
    },
)
