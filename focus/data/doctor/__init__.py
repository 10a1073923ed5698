"""The doctor: report every fault of a corpus at once, before any GPU time is spent on it.

``files`` lists the files that the index names, ``looking`` inspects one file, and ``survey``
inspects all of them in several processes. One module per subject (``labels``, ``splits``,
``published``, ``images``, ``duplicates``, ``shortcuts``) turns the measurements into findings,
``examining`` collects them, and ``command`` prints them.
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

# Import on first use: the processes that inspect files do not need torch.
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
