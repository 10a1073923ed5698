"""Optimisers: trained parameters and their learning rates."""

import pytest
from torch import nn

from focus.errors import InputError
from focus.optim import OptimizerConfig, OptimizerOptions, build_optimizer


class Small(nn.Module):
    """A frozen layer, a pretrained one and a head."""

    def __init__(self, pretrained=True):
        super().__init__()
        self.frozen, self.body, self.head = (nn.Linear(2, 2) for _ in range(3))
        self.frozen.requires_grad_(False)
        self.body.is_pretrained = pretrained


def scales(network, rate):
    optimizer = build_optimizer(network, OptimizerConfig(backbone_rate=rate))
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: group["scale"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_pretrained_parameters_have_their_own_rate():
    expected = {"body.weight": 0.1, "body.bias": 0.1, "head.weight": 1.0, "head.bias": 1.0}
    assert scales(Small(), 0.1) == expected
    plain = dict.fromkeys(expected, 1.0)
    assert scales(Small(), 1.0) == plain
    assert scales(Small(pretrained=False), 0.1) == plain


def test_a_rate_of_zero_is_refused():
    with pytest.raises(InputError, match="--backbone-rate 0"):
        OptimizerOptions(backbone_rate=0)
