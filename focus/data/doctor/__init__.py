"""The doctor: every fault of a corpus in one report, before any hour of a GPU is spent on it.

``files`` lists what the index names, ``looking`` looks at one file, ``survey`` at all of them in
several processes. One file of checks a subject (``labels``, ``splits``, ``published``,
``pictures``, ``duplicates``, ``shortcuts``) turns what was seen into findings, ``examining``
gathers them, and ``command`` prints them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from focus.data.doctor.command import DoctorCommand, doctor_command
    from focus.data.doctor.examining import examine
    from focus.data.doctor.findings import Examination, Finding

__all__ = ["DoctorCommand", "Examination", "Finding", "doctor_command", "examine"]

_HOMES = {
    "DoctorCommand": "command",
    "doctor_command": "command",
    "examine": "examining",
    "Examination": "findings",
    "Finding": "findings",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the processes that look at files do so without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
