"""Distance of an image to the training images, in the features of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from focus.errors import InputError

_FLOOR, _LEAST = 1e-3, 1e-12


class FeatureStatistics(NamedTuple):
    """A Gaussian of low rank: mean, leading directions, and one variance for all others."""

    mean: Tensor  # float32 (D,)
    basis: Tensor  # float32 (D, k), orthonormal columns
    variance: Tensor  # float32 (k,), above 0
    rest: Tensor  # float32 (): variance along each other direction, above 0

    @classmethod
    def fit(cls, features: Tensor, rank: int = 32) -> FeatureStatistics:
        """Measure the statistics of features (N, D).

        Args:
            features: of training faces; at least 3.
            rank: number of directions with a variance of their own; fewer if N or D is smaller.

        Raises:
            InputError: fewer than 3 faces, or values that are not finite.
        """
        values = features.detach().double().cpu()
        if values.ndim != 2 or len(values) < 3 or not torch.isfinite(values).all():
            raise InputError("feature statistics need a finite (N, D) array of at least 3 faces")
        mean = values.mean(dim=0)
        _, sizes, directions = torch.linalg.svd(values - mean, full_matrices=False)
        spread = sizes.square() / (len(values) - 1)
        rank = min(rank, len(values) - 2, values.shape[1])
        others = values.shape[1] - rank
        rest = spread[rank:].sum() / others if others else spread[-1]
        floor = max(float(_FLOOR * spread.mean()), _LEAST)  # above the rounding of float32
        variance, rest = spread[:rank].clamp_min(floor), rest.clamp_min(floor)
        parts = (mean, directions[:rank].T, variance, rest)
        return cls(*(part.float().contiguous() for part in parts)).checked()

    def checked(self) -> FeatureStatistics:
        """Return self.

        Raises:
            ValueError: shapes that do not agree, another type, or a variance that is not positive.
        """
        dim, rank = self.mean.numel(), self.variance.numel()
        shapes = [tuple(part.shape) for part in self]
        if shapes != [(dim,), (dim, rank), (rank,), ()]:
            raise ValueError(f"shapes {shapes} do not agree")
        if any(part.dtype != torch.float32 for part in self):
            raise ValueError("not float32")
        if not (bool((self.variance > 0).all()) and bool(self.rest > 0)):
            raise ValueError("a variance is not positive")
        return self

    def distance(self, features: Tensor) -> Tensor:
        """Return Mahalanobis distances divided by sqrt(D): about 1 for an image like the training.

        Args:
            features: (B, D).

        Returns:
            float32 (B,).

        Raises:
            ValueError: features of another width.
        """
        if features.shape[1:] != self.mean.shape:
            raise ValueError(f"features of {features.shape[1:]}, not {self.mean.shape}")
        centred = features.float().cpu() - self.mean
        along = centred @ self.basis
        across = centred.square().sum(dim=1) - along.square().sum(dim=1)
        squares = (along.square() / self.variance).sum(dim=1) + across.clamp_min(0) / self.rest
        return (squares / self.mean.numel()).sqrt()


def find_module(network: nn.Module, layer: str) -> nn.Module:
    """Return a module by its path.

    Raises:
        InputError: no such module.
    """
    try:
        if layer:
            return network.get_submodule(layer)
    except AttributeError:
        pass
    raise InputError(f"the network has no module {layer!r} to take features from")


@contextmanager
def pooled_features(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the output of a module, averaged over its positions: (B, D) for each call.

    Output (B, D, h, w) is averaged over h and w, tokens (B, N, D) over N; (B, D) stays.

    Raises:
        InputError: the module has another output.
    """
    seen: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        axes = {2: (), 3: (1,), 4: (2, 3)}.get(getattr(output, "ndim", 0))
        if axes is None:
            raise InputError("features must be (B, D), tokens (B, N, D) or a grid (B, D, h, w)")
        value = output.detach().float()
        seen.append(value.mean(dim=axes) if axes else value)

    hook = module.register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()
