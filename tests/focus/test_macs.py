"""Counted operations of computations small enough to count by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from focus.macs import count_macs


def test_attention_is_counted_with_every_kernel():
    tokens = torch.rand(1, 2, 10, 4)  # 2 heads, 10 tokens, 4 channels
    macs, result = count_macs(lambda: F.scaled_dot_product_attention(tokens, tokens, tokens))
    assert macs == 2 * (2 * 10 * 10 * 4)  # queries with keys, weights with values
    assert result.shape == tokens.shape


def test_a_backward_pass_inside_counts_and_nothing_else_keeps_a_graph():
    weight, images = torch.rand(3, 4, requires_grad=True), torch.rand(5, 4)

    def backward():
        with torch.enable_grad():
            return torch.autograd.grad(F.linear(images, weight).sum(), weight)

    assert count_macs(lambda: F.linear(images, weight))[0] == 5 * 4 * 3
    assert count_macs(backward)[0] == 2 * 5 * 4 * 3
    assert not count_macs(lambda: F.linear(images, weight))[1].requires_grad
