from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from plugins.bayar import BayarConv


def test_bayar_constraint_survives_training():
    torch.manual_seed(0)
    expert = BayarConv(4, 3)
    assert expert.taps.numel() == 24 * 12
    features, wanted = torch.randn(2, 4, 12, 12), torch.randn(2, 3, 12, 12)
    optimiser = torch.optim.AdamW(expert.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        F.mse_loss(expert(features), wanted).backward()
        optimiser.step()
    kernels = expert.kernels()
    assert torch.equal(kernels[..., 2, 2], torch.full((3, 4), -1.0))
    assert torch.allclose(kernels.sum(dim=(2, 3)), torch.zeros(3, 4), atol=1e-4)
    assert kernels.abs().max() < 10


@pytest.mark.parametrize("total", [0.0, 1e-5, -1e-5])
def test_bayar_guard_keeps_the_sign_and_the_gradient_finite(total):
    expert = BayarConv(1, 1)
    expert.taps.data.copy_(torch.cat([torch.full((12,), 0.5), torch.full((12,), -0.5)]))
    expert.taps.data[0, 0, 0] += total
    kernels = expert.kernels()
    assert kernels[0, 0, 0, 1].item() == pytest.approx(math.copysign(500, total))
    kernels.square().sum().backward()
    assert expert.taps.grad.isfinite().all()
