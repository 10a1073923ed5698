from __future__ import annotations

import pytest
import torch
from torch import nn

from focus.errors import InputError
from focus.released.features import FeatureStatistics, find_module, pooled_features


def test_distance_is_about_one_inside_and_large_outside() -> None:
    rng = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.1, 3, 20)
    known = torch.randn(4000, 20, generator=rng) * spread + 5
    found = FeatureStatistics.fit(known, rank=20)
    distances = found.distance(known)
    assert torch.allclose(distances.square().mean(), torch.tensor(1.0), atol=0.02)
    centred = known - known.mean(0)
    covariance = centred.T @ centred / (len(known) - 1)
    exact = (torch.linalg.solve(covariance, centred.T).T * centred).sum(1).div(20).sqrt()
    assert torch.allclose(distances, exact, atol=1e-3)
    assert found.distance(known + 10 * spread).min() > 5
    low = FeatureStatistics.fit(known, rank=4)
    assert low.basis.shape == (20, 4)
    assert 0.8 < low.distance(known).mean() < 1.2


def test_refuses_features_that_do_not_fit() -> None:
    found = FeatureStatistics.fit(torch.randn(10, 6), rank=2)
    with pytest.raises(ValueError, match="features of"):
        found.distance(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="do not agree"):
        found._replace(basis=torch.zeros(5, 2)).checked()
    with pytest.raises(ValueError, match="not positive"):
        found._replace(variance=torch.zeros(2)).checked()
    for bad in (torch.zeros(2, 4), torch.full((5, 4), torch.nan), torch.zeros(5)):
        with pytest.raises(InputError, match="at least 3 faces"):
            FeatureStatistics.fit(bad)


@pytest.mark.parametrize("shape", [(2, 5), (2, 7, 5), (2, 5, 3, 3)])
def test_features_are_averaged_over_positions(shape: tuple[int, ...]) -> None:
    network = nn.Sequential(nn.Identity(), nn.ReLU())
    values = torch.rand(shape)
    with pooled_features(find_module(network, "0")) as seen:
        network(values)
    expected = {2: values, 3: values.mean(1) if len(shape) == 3 else values}.get(
        len(shape), values.mean((2, 3)) if len(shape) == 4 else values
    )
    assert torch.allclose(seen[0], expected)
    network(values)
    assert len(seen) == 1


def test_a_module_must_exist() -> None:
    for layer in ("", "2", "0.body"):
        with pytest.raises(InputError, match="has no module"):
            find_module(nn.Sequential(nn.Identity()), layer)
