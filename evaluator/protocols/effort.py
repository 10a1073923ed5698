"""What a training costs: arithmetic per face, times faces seen, over an assumed speed."""

from __future__ import annotations

from focus.detectors import DETECTORS

SUSTAINED_TFLOPS = 20.0
"""Assumed speed of one GPU in training, all waits included; a guess, not a measurement."""
GMACS = {
    "caddm": 6.26,
    "classifier": 4.57,
    "focus": 9.6,
    "gffd": 14.0,
    "lttd": 201.0,
    "madd": 7.3,
    "monfap": 10.8,
    "msccnet": 218.6,
    "pcl": 4.8,
    "probe": 5.86,
    "telltales": 15.6,
    "uiavit": 17.6,
}
"""Multiply-adds of one forward pass, in 1e9, of a face (lttd: of a clip) at the paper's size;
counted over matrix products and convolutions."""
PASSES = 3
"""A training step costs about three forward passes."""


def training_hours(detector: str) -> float:
    """Return GPU hours of one training of the detector's own length: an estimate.

    steps x batch x GMACs x 2 (operations of a multiply-add) x 3 (passes) / speed. Validation,
    tests and the making of maps are not counted. 0 for a detector that :data:`GMACS` lacks.

    Raises:
        InputError: a detector that is not installed.
    """
    kind = DETECTORS.get(detector)
    operations = kind.steps * kind.batch * GMACS.get(detector, 0.0) * 1e9 * 2 * PASSES
    return operations / (SUSTAINED_TFLOPS * 1e12) / 3600
