"""Robustness of scores and maps to image corruptions of increasing strength.

``choosing`` selects the faces, ``command`` generates a map file per corruption and level,
``judging`` computes the metrics, ``report`` writes them, and ``curves`` plots them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from evaluator.robustness.command import robustness_command
    from evaluator.robustness.options import RobustnessCommand

__all__ = ["RobustnessCommand", "robustness_command"]

__getattr__ = lazy(
    __name__,
    {
        "evaluator.robustness.command": ("robustness_command",),
        "evaluator.robustness.options": ("RobustnessCommand",),
    },
)
