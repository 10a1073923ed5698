"""Run-length encoding of masks, as COCO writes it."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.interchange import (
    encode_rle,
)


def test_rle_by_hand():
    # Column by column 0 0 1 1 1 1: runs 2, 4, as characters 2 + 48 and 4 + 48.
    assert encode_rle(np.array([[0, 1, 1], [0, 1, 1]], bool)) == "24"
    assert encode_rle(np.zeros((2, 2), bool)) == "4"
    # Begins with a one: no zeros first. 32 pixels need two groups of five bits: 00000, then 1.
    assert encode_rle(np.ones((8, 4), bool)) == "0P1"


def test_rle_counts_are_differences_from_the_fourth_on():
    pixels = np.repeat([0, 1, 0, 1, 0], [3, 2, 5, 1, 9]).astype(bool)
    # 3, 2, 5, then 1 - 2 = -1 (all five bits set: 31 + 48) and 9 - 5 = 4.
    assert encode_rle(pixels.reshape(-1, 1)) == "325O4"


def test_rle_equals_pycocotools():
    reference = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    generator = np.random.default_rng(3)
    for height, width in ((1, 1), (7, 300), (64, 64), (500, 3)):
        for share in (0.0, 0.02, 0.5, 0.98, 1.0):
            mask = generator.random((height, width)) < share
            theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert encode_rle(mask) == theirs["counts"].decode()
