"""The doctor: every fault of a corpus in one report, before any hour of a GPU is spent on it.

``files`` lists what the index names, ``looking`` looks at one file, ``survey`` at all of them in
several processes. One file of checks a subject (``labels``, ``splits``, ``published``,
``pictures``, ``duplicates``, ``shortcuts``) turns what was seen into findings, ``examining``
gathers them, and ``command`` prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from focus.data.doctor.command import doctor_command
    from focus.data.doctor.examining import examine
    from focus.data.doctor.findings import Examination, Finding
    from focus.data.doctor.options import DoctorCommand

__all__ = ["DoctorCommand", "Examination", "Finding", "doctor_command", "examine"]

# Import on first use: the processes that look at files do so without torch.
__getattr__ = lazy(
    __name__,
    {
        "focus.data.doctor.command": ("doctor_command",),
        "focus.data.doctor.options": ("DoctorCommand",),
        "focus.data.doctor.examining": ("examine",),
        "focus.data.doctor.findings": (
            "Examination",
            "Finding",
        ),
    },
)
