"""Local edits: the changed and the unchanged pixels of each kind."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest

from focus.data.forging.areas import Area, random_area
from focus.data.forging.blending import composite, measure_change
from focus.data.forging.command import ForgeryKind
from focus.data.forging.edits import EDITS, NEEDS_DONOR
from focus.data.forging.making import LEAST_CHANGE, forge_face
from focus.data.forging.swapping import Portrait
from focus.data.landmarks import FaceShape


def _textured(seed: int, side: int = 120) -> np.ndarray:
    """Return an image with coarse shapes and fine texture, uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(
        rng.uniform(40, 210, (6, 6, 3)), (side, side), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(coarse + rng.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)


def _area(image: np.ndarray, seed: int, part: str = "blob") -> Area:
    shape = FaceShape.from_box(*image.shape[:2])
    return random_area(shape, part, image.shape[:2], np.random.default_rng(seed))


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_changes_the_area_alone(kind: str) -> None:
    image, donor = _textured(0), _textured(1)
    changes = []
    for seed in range(6):
        area, before = _area(image, seed), image.copy()
        content = EDITS[kind](image, area, np.random.default_rng(seed), donor)
        assert content.dtype == np.uint8
        assert content.shape == (*area.weight.shape, 3)
        np.testing.assert_array_equal(image, before)
        forged = composite(image, content, area)
        np.testing.assert_array_equal(forged.image[~forged.mask], image[~forged.mask])
        changes.append(measure_change(image, forged))
    assert np.median(changes) > 1


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_depends_on_the_generator_alone(kind: str) -> None:
    image, donor = _textured(0), _textured(1)
    area = _area(image, 3)
    twice = [EDITS[kind](image, area, np.random.default_rng(5), donor) for _ in range(2)]
    np.testing.assert_array_equal(*twice)
    other = EDITS[kind](image, area, np.random.default_rng(6), donor)
    assert (other != twice[0]).any()


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 2)])
def test_tiny_areas(kind: str, shape: tuple[int, int]) -> None:
    image, donor = _textured(0), _textured(1)
    window = slice(4, 4 + shape[0]), slice(7, 7 + shape[1])
    for seed in range(8):
        area = Area(window, np.ones(shape, np.float32))
        content = EDITS[kind](image, area, np.random.default_rng(seed), donor)
        assert content.shape == (*shape, 3)


def test_only_a_splice_shows_the_donor() -> None:
    image = np.full((120, 120, 3), 90, np.uint8)
    donor = _textured(1)
    for kind, edit in EDITS.items():
        area = _area(image, 2, "eyes")
        pair = [edit(image, area, np.random.default_rng(1), other) for other in (donor, None)]
        assert (pair[0] != pair[1]).any() == (kind in NEEDS_DONOR)


def test_smoothing_removes_texture() -> None:
    image = _textured(0)
    area = _area(image, 4, "half")

    def texture(content: np.ndarray) -> float:
        return float(cv2.Laplacian(content, cv2.CV_32F).std())

    before = texture(image[area.window])
    for seed in range(9):
        assert texture(EDITS["smooth"](image, area, np.random.default_rng(seed), None)) < before


def test_every_edit_without_a_donor_can_be_written_to_files() -> None:
    offered = set(get_args(ForgeryKind)) - {"blend", "partial", "swap"}
    assert offered == set(EDITS) - NEEDS_DONOR


@pytest.mark.parametrize("kind", [kind for kind in EDITS if kind not in NEEDS_DONOR])
def test_forged_faces_of_each_edit(kind: str) -> None:
    image = _textured(0)
    portrait = Portrait(image, FaceShape.from_box(*image.shape[:2]))
    forged = forge_face(portrait, kind, np.random.default_rng(0))
    assert measure_change(image, forged) >= LEAST_CHANGE
    np.testing.assert_array_equal(forged.image[~forged.mask], image[~forged.mask])
