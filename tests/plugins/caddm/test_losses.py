"""Losses of the anchors."""

import numpy as np
import pytest
import torch

from plugins.caddm.anchors import (
    Assignment,
)
from plugins.caddm.losses import anchor_losses, choose_negatives


def test_hard_negatives_agree_with_a_loop():
    torch.manual_seed(0)
    losses, positive = torch.rand(6, 30), torch.rand(6, 30) < 0.1
    positive[0] = False
    for least in (0, 6):
        chosen = choose_negatives(losses, positive, least)
        for image in range(6):
            wanted = max(2 * int(positive[image].sum()), least)
            order = sorted(range(30), key=lambda place: -losses[image, place])
            kept = [place for place in order if not positive[image, place]][:wanted]
            assert sorted(kept) == chosen[image].nonzero().flatten().tolist()


def test_anchor_losses_by_hand():
    confidences = torch.tensor([[[0.0, 2.0], [1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]])
    offsets = torch.tensor([[[0.5, 0, 0, 2.0]] * 4])
    positive = torch.tensor([[True, False, False, False]])
    confidence, box = anchor_losses(
        confidences, offsets, Assignment(positive, torch.zeros(1, 4, 4))
    )
    # The positive, and the two hardest negatives: logits (0, 1) and (1, 0).
    expected = np.log1p(np.exp(-2)) + np.log1p(np.exp(1)) + np.log1p(np.exp(-1))
    assert confidence.item() == pytest.approx(expected, abs=1e-5)
    assert box.item() == pytest.approx(0.5 * 0.25 + 1.5)
