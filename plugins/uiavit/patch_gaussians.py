"""Unsupervised patch consistency learning: Gaussians of real and of forged patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugins import FAKE, REAL

FACES_PER_CLASS = 4
VARIANCE_FLOOR = 1e-6  # patches have channel variance 1; identical patches must not fail


class PatchGaussians(nn.Module):
    """One Gaussian of real patches and one of forged ones, fitted to running sums.

    Real patches are all patches of real faces; forged ones are the inner patches of fakes (rows and
    columns 3 to 10 of 14).

    Attributes:
        fitted: (2,): 1 once the Gaussian of the class (real, fake) is fitted.
    """

    count: Tensor
    total: Tensor
    products: Tensor
    cubes: Tensor
    fourths: Tensor
    mean: Tensor
    whitening: Tensor
    fitted: Tensor
    inner: Tensor

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        shapes = {
            "count": (2,),  # n of each class, then sums over its patches x:
            "total": (2, width),  # x
            "products": (2, width, width),  # x x^T
            "cubes": (2, width),  # |x|^2 x
            "fourths": (2,),  # |x|^4
            "mean": (2, width),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("whitening", torch.eye(width).repeat(2, 1, 1))
        self.register_buffer("fitted", torch.zeros(2))
        inner = torch.zeros(grid)
        top, left = (round(side * 3 / 14) for side in grid)
        inner[top : grid[0] - top, left : grid[1] - left] = 1
        self.register_buffer("inner", inner.flatten(), persistent=False)

    @torch.no_grad()
    def add(self, patches: Tensor, labels: Tensor) -> None:
        """Add the patches (B, N, D), float32, of the first four faces of each class."""
        for label in (REAL, FAKE):
            mine = labels == label
            first = mine.int().sort(descending=True, stable=True).indices[:FACES_PER_CLASS]
            weights = mine[first].float()[:, None] * (self.inner if label == FAKE else 1)
            weights = weights.expand(-1, patches.shape[1]).flatten()  # (faces * N,): 0 or 1
            values = patches[first].flatten(0, 1)  # (faces * N, D)
            with torch.autocast(values.device.type, enabled=False):
                weighted = values * weights[:, None]
                squares = values.square().sum(dim=1)
                self.count[label] += weights.sum()
                self.total[label] += weighted.sum(dim=0)
                self.products[label] += weighted.T @ values
                self.cubes[label] += squares @ weighted
                self.fourths[label] += weights @ squares.square()

    @torch.no_grad()
    def fit(self) -> None:
        """Fit each Gaussian that has patches, and reset the sums."""
        sums = (self.count, self.total, self.products, self.cubes, self.fourths)
        # In float64 on the CPU, where it is always available: patches lie in a hyperplane, so
        # that only the shrinkage makes the covariance invertible.
        known = [values.cpu().double() for values in sums]
        for label in (REAL, FAKE):
            if known[0][label] > 1:
                mean, covariance = ledoit_wolf(*(values[label] for values in known))
                self.mean[label] = mean.to(self.mean)
                covariance += VARIANCE_FLOOR * torch.eye(len(mean), dtype=mean.dtype)
                factor = torch.linalg.inv(torch.linalg.cholesky(covariance))
                self.whitening[label] = factor.to(self.whitening)
                self.fitted[label] = 1
        for values in sums:
            values.zero_()

    @torch.no_grad()
    def locate(self, patches: Tensor) -> Tensor:
        """Return relu(d_real - d_fake) (B, N), Mahalanobis distances of patches (B, N, D)."""
        real, fake = (self._distance(patches, label) for label in (REAL, FAKE))
        return (real - fake).clamp_min(0) * self.fitted.prod()

    def _distance(self, patches: Tensor, label: int) -> Tensor:
        with torch.autocast(patches.device.type, enabled=False):
            # The precision matrix would square the rounding errors of the product.
            offset = (patches - self.mean[label]) @ self.whitening[label].T
            return torch.linalg.vector_norm(offset, dim=-1)


def ledoit_wolf(
    count: Tensor, total: Tensor, products: Tensor, cubes: Tensor, fourths: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean (D,) and shrunk covariance (D, D) of n samples x from sums over them.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.

    Args:
        count: n.
        total: sum of x (D,).
        products: sum of x x^T (D, D).
        cubes: sum of |x|^2 x (D,).
        fourths: sum of |x|^4.
    """
    mean, size = total / count, len(total)
    covariance = products / count - torch.outer(mean, mean)
    scale, length = covariance.trace() / size, mean @ mean
    # Mean of |x - mean|^4, expanded: |x|^2, x . mean and |mean|^2 in all their products.
    spread = fourths / count + 4 * mean @ (products / count) @ mean
    spread += 2 * length * products.trace() / count - 4 * mean @ cubes / count - 3 * length**2
    squared = covariance.square().sum()
    distance = squared - size * scale**2
    error = ((spread - squared) / count).clamp(torch.zeros_like(distance), distance)
    share = torch.where(distance > 0, error / distance, 0)
    identity = torch.eye(size, dtype=covariance.dtype)
    return mean, (1 - share) * covariance + share * scale * identity
