"""Estimated cost of a training: operations per face x faces / assumed speed."""

from __future__ import annotations

from focus.detectors import DETECTORS

SUSTAINED_TFLOPS = 20.0
"""Assumed effective speed of one GPU in training; not measured."""
PASSES = 3
"""A training step costs about three forward passes."""


def training_hours(detector: str) -> float:
    """Return the estimated GPU hours of one training of the detector's default length.

    steps x batch x GMACs x 2 (operations of a multiply-add) x 3 (passes) / speed. Validation,
    tests and map generation are not counted. 0 for a detector without ``gmacs``.

    Raises:
        InputError: a detector that is not installed.
    """
    kind = DETECTORS.get(detector)
    operations = kind.steps * kind.batch * kind.gmacs * 1e9 * 2 * PASSES
    return operations / (SUSTAINED_TFLOPS * 1e12) / 3600
