from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from plugins.losses import am_softmax, cosines, dice_losses


def test_dice_of_each_image_by_hand():
    truth = torch.zeros(4, 1, 8, 8)
    truth[:3, :, :2] = 1  # 16 pixels
    found = torch.zeros(4, 1, 8, 8)
    found[0, :, :2] = 1  # equal
    found[1, :, 1:3] = 1  # half of it, and as much beside it
    found[2, :, :2] = 0.5
    found[3, :, :1] = 1  # 8 pixels where there is nothing
    expected = [0, 1 - (2 * 8 + 1) / 33, 1 - (2 * 8 + 1) / (4 + 16 + 1), 1 - 1 / 9]
    assert dice_losses(found, truth).tolist() == pytest.approx(expected)


def test_cosines_are_torchs():
    features, weights = torch.randn(5, 7), torch.randn(2, 7)
    expected = F.cosine_similarity(features[:, None], weights, dim=2)
    torch.testing.assert_close(cosines(features, weights), expected)


def test_am_softmax_by_hand():
    pairs = torch.tensor([[0.8, 0.2], [0.8, 0.2]])
    # true class 0: 30 (0.8 - 0.5) = 9 against 6; true class 1: 30 (0.2 - 0.5) = -9 against 24
    expected = [math.log1p(math.exp(-3)), math.log1p(math.exp(33))]
    for label in (0, 1):
        found = am_softmax(pairs[:1], torch.tensor([label]), 30.0, 0.5)
        assert found.item() == pytest.approx(expected[label], rel=1e-5)
    both = am_softmax(pairs, torch.tensor([0, 1]), 30.0, 0.5)
    assert both.item() == pytest.approx(sum(expected) / 2, rel=1e-5)
