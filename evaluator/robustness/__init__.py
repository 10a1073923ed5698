"""What scores and maps withstand: corruptions of rising strength, and what is left of either.

``choosing`` takes the faces, ``command`` makes a map file per corruption and level, ``judging``
turns these into numbers, ``report`` writes the numbers down, and ``curves`` draws them.
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
