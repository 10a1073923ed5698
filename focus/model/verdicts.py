"""Verdicts in words: the finding, or the reason why there is none. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from focus.model.quality import Quality
from focus.released.contents import Calibration, Limits

NO_SIGN = "no sign of manipulation"
UNSURE = "cannot say"
SIGNS = "signs of manipulation"
NO_FACE = "no face found"
VERDICTS = (NO_SIGN, UNSURE, SIGNS)
NOT_CALIBRATED = "the model is not calibrated: its score is not a probability"


def judge(
    probability: float,
    quality: Quality,
    distance: float,
    limits: Limits,
    calibration: Calibration | None,
) -> tuple[str, str]:
    """Return the verdict on a face and its reason; the reason is empty unless it is UNSURE.

    Args:
        probability: P(fake) in [0, 1].
        quality: measures of the face.
        distance: to the training images; NaN if not measured.
        limits: faces that the model can judge.
        calibration: thresholds on P; None: not calibrated.
    """
    reason = find_obstacle(quality, distance, limits)
    if reason:
        return UNSURE, reason
    return judge_score(probability, calibration)


def judge_score(
    probability: float, calibration: Calibration | None, noun: str = "score"
) -> tuple[str, str]:
    """Return the verdict of P(fake) alone, and its reason; ``noun`` names P in the reason."""
    if calibration is None:
        return UNSURE, NOT_CALIBRATED
    if probability >= calibration.high:
        return SIGNS, ""
    if probability < calibration.low:
        return NO_SIGN, ""
    bounds = f"{calibration.low:.3g} and {calibration.high:.3g}"
    return UNSURE, f"the {noun} is between the thresholds {bounds}"


def find_obstacle(quality: Quality, distance: float, limits: Limits) -> str:
    """Return why a face cannot be judged; empty if it can."""
    if quality.side < limits.side:
        size = f"{quality.side:.0f} pixels, at least {limits.side:.0f} needed"
        return f"the face is too small: {size}"
    if quality.turn > limits.turn:
        return "the head is turned sideways"
    if quality.contrast < limits.contrast:
        return "the face is too dark, or without contrast"
    if quality.sharpness < limits.sharpness:
        return "the face is blurred"
    if quality.chroma < limits.chroma:
        return "the image has no colour"
    if quality.flatness > limits.flatness:
        return "the face is drawn or heavily smoothed"
    if quality.detection < limits.detection:
        return "the face is hardly recognisable as one"
    if limits.distance and not math.isnan(distance) and distance > limits.distance:
        return "the image is unlike those that the model was trained on"
    return ""


def combine(verdicts: Iterable[str]) -> str:
    """Return one verdict for several faces: the gravest, with UNSURE above NO_SIGN."""
    found = list(verdicts)
    return next((verdict for verdict in reversed(VERDICTS) if verdict in found), NO_FACE)
