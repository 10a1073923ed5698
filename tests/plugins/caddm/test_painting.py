"""Boxes become maps."""

import torch

from plugins.caddm.painting import paint


def test_confident_boxes_are_painted_where_they_are():
    local = [[112.0, 16, 208, 56], [0, 0, 8, 16], [192, 16, 208, 32]]
    boxes = torch.tensor([local + [[0.0, 0, 224, 224]] * 2])
    painted = paint(boxes, torch.tensor([[0.8, 0.5, 0.5, 1.0, 1.0]]), 224)[0, 0]
    expected = torch.zeros(14, 14)
    expected[1:3, 7:13], expected[3, 7:13], expected[0, 0], expected[1, 12] = 0.8, 0.4, 0.25, 0.9
    assert torch.allclose(painted, expected)
