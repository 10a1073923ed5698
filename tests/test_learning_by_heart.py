"""Every detector that maps supervise can learn eight faces and their maps by heart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest
import torch
from sklearn.metrics import roc_auc_score

from plugins import FAKE, get
from plugins.conformance import plain_config
from plugins.facexray.targets import boundary
from plugins.learned import settle_statistics
from tests.plugins import conftest
from tests.plugins.small_detectors import SMALL

batch = conftest.batch  # a fixture


class Training(NamedTuple):
    """A training that is long enough: steps and rate of Adam, and settings that differ."""

    steps: int
    rate: float
    options: Mapping[str, float] = {}


TRAININGS = {
    "catnet": Training(18, 3e-3),
    "facexray": Training(60, 1e-3),
    "ffd": Training(15, 1e-3),
    "hpfcn": Training(60, 3e-3),
    "m2tr": Training(18, 3e-3),
    "multitask": Training(50, 3e-3),
    "mvss": Training(50, 1e-2),
    "sladd-head": Training(25, 1e-3, {"map_weight": 1.0}),
}


def learn(name, batch):
    """Return a small detector trained on one batch, in evaluation mode."""
    torch.manual_seed(0)
    kind, training = get(name), TRAININGS[name]
    network = kind(plain_config(kind, {**SMALL[name], **training.options})).train()
    network.begin(training.steps)
    optimizer = torch.optim.Adam(network.parameters(), training.rate)
    for _ in range(training.steps):
        optimizer.zero_grad()
        sum(network.loss(batch).values()).backward()
        optimizer.step()
    settle_statistics(network, batch)
    return network.eval()


@pytest.mark.parametrize("name", TRAININGS)
def test_eight_faces_are_learnt_by_heart(name, batch):
    network = learn(name, batch)
    with torch.no_grad():
        scores, maps, _ = network.predict(batch.images)
    assert roc_auc_score(batch.labels, scores) == 1
    wanted = boundary(batch.maps) if name == "facexray" else batch.maps
    truth = torch.nn.functional.adaptive_avg_pool2d(wanted, maps.shape[-2:]) > 0.5
    fakes = batch.labels == FAKE
    assert roc_auc_score(truth[fakes].flatten(), maps[fakes].flatten()) > 0.95
    assert maps[~fakes].mean() < maps[fakes].mean() / 2
