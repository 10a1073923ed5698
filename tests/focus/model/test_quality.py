from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from focus.data.cropping import FaceBox
from focus.data.demo import draw_face
from focus.errors import InputError
from focus.model.quality import fit_limits, measure_quality, measure_turn
from focus.model.verdicts import NO_SIGN, SIGNS, UNSURE, combine, find_obstacle, judge
from focus.released.contents import Calibration, Limits

FACE = draw_face(np.random.default_rng(0), 200).image
GOOD = measure_quality(FACE, (20, 20, 180, 180), None)


def test_turn_is_the_offset_of_the_nose() -> None:
    points = np.array([[10, 10], [30, 10], [20, 20], [13, 30], [27, 30]], np.float32)
    assert measure_turn(points) == 0
    points[2] = 30, 20
    assert measure_turn(points) == pytest.approx(0.5)
    turned = points @ np.array([[0.6, 0.8], [-0.8, 0.6]], np.float32)  # rolled: not turned
    assert measure_turn(turned) == pytest.approx(0.5, abs=1e-5)
    points[1] = points[0]
    assert measure_turn(points) > 1


def test_measures_of_a_known_image() -> None:
    flat = np.full((50, 80, 3), (90, 90, 90), np.uint8)
    found = measure_quality(flat, (-10, -10, 300, 300), None)
    assert (found.side, found.detection, found.turn) == (80, 1, 0)
    assert (found.sharpness, found.chroma, found.contrast, found.flatness) == (0, 0, 0, 1)
    box = FaceBox(5.0, 6.0, 25.5, 40.0, 0.7)
    found = measure_quality(flat, (0, 0, 50, 50), box)
    assert (found.side, found.detection) == (34, 0.7)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("side", 10, "too small: 10 pixels, at least 48"),
        ("turn", 0.6, "turned sideways"),
        ("contrast", 5, "too dark"),
        ("sharpness", 0.05, "blurred"),
        ("chroma", 1, "no colour"),
        ("flatness", 0.5, "drawn"),
        ("detection", 0.5, "hardly recognisable"),
    ],
)
def test_each_measure_has_its_reason(name: str, value: float, reason: str) -> None:
    assert find_obstacle(GOOD, np.nan, Limits()) == ""
    bad = replace(GOOD, **{name: value})
    assert reason in find_obstacle(bad, np.nan, Limits())
    verdict, why = judge(0.99, bad, np.nan, Limits(), Calibration(low=0.2, high=0.8))
    assert (verdict, reason in why) == (UNSURE, True)  # for any score


def test_thresholds_make_three_verdicts() -> None:
    known = Calibration(low=0.2, high=0.8)
    found = [judge(p, GOOD, np.nan, Limits(), known)[0] for p in (0.19, 0.2, 0.79, 0.8)]
    assert found == [NO_SIGN, UNSURE, UNSURE, SIGNS]
    limits = Limits(distance=2)
    assert "unlike" in judge(0.1, GOOD, 2.1, limits, known)[1]
    assert judge(0.1, GOOD, 1.9, limits, known) == (NO_SIGN, "")
    assert combine([NO_SIGN, UNSURE]) == UNSURE
    assert combine([NO_SIGN, SIGNS, UNSURE]) == SIGNS
    assert combine([]) == "no face found"


def test_fitted_limits_keep_the_faces_they_are_fitted_to() -> None:
    rng = np.random.default_rng(0)
    sharpness = rng.uniform(0.02, 0.3, 400)
    faces = [replace(GOOD, sharpness=value, turn=2 * value) for value in sharpness]
    limits = fit_limits(faces, rng.uniform(0, 3, 400), share=0.01, side=30)
    kept = [find_obstacle(face, np.nan, limits) == "" for face in faces]
    assert np.mean(kept) >= 0.98
    assert limits.side == 30
    assert limits.distance == pytest.approx(2.97, abs=0.04)
    assert limits.chroma == Limits().chroma  # never stricter than the default
    with pytest.raises(InputError, match="validation faces"):
        fit_limits([])
