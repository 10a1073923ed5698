"""What scores and maps withstand: corruptions of rising strength, and what is left of either.

``choosing`` takes the faces, ``command`` makes a map file per corruption and level, ``judging``
turns these into numbers, ``report`` writes the numbers down, and ``curves`` draws them.
"""

from evaluator.robustness.command import RobustnessCommand, robustness_command

__all__ = ["RobustnessCommand", "robustness_command"]
