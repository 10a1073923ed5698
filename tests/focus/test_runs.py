"""Weights of a run: loaded weights equal the saved ones."""

import torch
from safetensors.torch import load_file
from torch import nn

from focus.runs import Run, save_weights


def test_a_tensor_under_two_names_is_saved_under_both(tmp_path):
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    save_weights(network, tmp_path / "weights.safetensors")
    kept = load_file(tmp_path / "weights.safetensors")
    assert torch.equal(kept["0.weight"], network[0].weight)
    assert torch.equal(kept["1.weight"], network[0].weight)


def test_a_run_knows_what_it_was_trained_on(tmp_path):
    weights = tmp_path / "best.safetensors"
    run = Run("focus", {"network": {}, "source": {"data": "wdf"}}, weights)
    assert run.trained_on == "wdf"
    assert Run("focus", {"network": {}, "source": "x"}, weights).trained_on == ""
    assert Run("focus", {"network": {}}, weights).trained_on == ""
