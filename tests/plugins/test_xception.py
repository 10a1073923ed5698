"""A backbone that is taken apart keeps the mark by which ``--backbone-rate`` finds it."""

from __future__ import annotations

import pytest
import timm

import plugins.patches.backbone
import plugins.telltales.backbone
import plugins.xception
from focus.optim import OptimizerConfig, build_optimizer
from plugins import create_backbone, get
from plugins.conformance import plain_config
from tests.plugins.small_detectors import SMALL


def create_marked(name, weights, **arguments):
    body = create_backbone(name, weights, **arguments)
    body.is_pretrained = True
    return body


@pytest.mark.parametrize("name", ["ffd", "patches", "sladd-head", "telltales"])
def test_the_rate_of_a_pretrained_xception_applies_to_its_parts(name, monkeypatch):
    for module in (plugins.xception, plugins.patches.backbone, plugins.telltales.backbone):
        monkeypatch.setattr(module, "create_backbone", create_marked)
    kind = get(name)
    network = kind(plain_config(kind, SMALL[name]))
    optimizer = build_optimizer(network, OptimizerConfig(backbone_rate=0.1))
    rest, backbone = optimizer.param_groups
    assert (rest["scale"], backbone["scale"]) == (1.0, 0.1)
    shapes = {tuple(tensor.shape) for tensor in timm.create_model("legacy_xception").parameters()}
    assert len(backbone["params"]) > 20
    assert {tuple(parameter.shape) for parameter in backbone["params"]} <= shapes
    own = {id(parameter) for parameter in rest["params"]}
    assert own == {
        id(parameter)
        for part, parameter in network.named_parameters()
        if not part.startswith(BODIES[name])
    }


BODIES = {
    "ffd": ("network.before.", "network.behind."),
    "patches": ("backbone.",),
    "sladd-head": ("before.", "behind."),
    "telltales": ("backbone.",),
}
