"""Classification-attentive region proposal (FoCus, Sec. III-B): tokens to class maps and logits."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

CLASSES = 2


class Proposal(NamedTuple):
    """Output of the region proposal of one modality."""

    logits: Tensor  # (B, 2): real, fake
    maps: Tensor  # (B, 2, h, w): A[class], unbounded

    @property
    def probability(self) -> Tensor:
        """P (B, 2) = softmax of the logits, in float32."""
        return self.logits.float().softmax(dim=1)


class RegionProposal(nn.Module):
    """K maps per class from one convolution; their spatial maxima, averaged, are the logits.

    Args:
        dim: channels of a token.
        grid: (h, w) of the token grid.
        maps_per_class: K.
        kernel: side of the convolution.
        weighted: False for A[c] = mean over k of F[c, k] (Eq. 4 as we read it); True for the
            classical CAM, each F[c, k] weighted by its own spatial mean.
    """

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        maps_per_class: int = 32,
        kernel: int = 3,
        weighted: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.maps_per_class, self.weighted = grid, maps_per_class, weighted
        self.conv = nn.Conv2d(dim, CLASSES * maps_per_class, kernel, padding=kernel // 2)

    def forward(self, tokens: Tensor) -> Proposal:
        """Return logits and class maps of tokens (B, h * w, D)."""
        batch, _, dim = tokens.shape
        planes = tokens.transpose(1, 2).reshape(batch, dim, *self.grid)  # (B, D, h, w)
        # float32 from here: means over maps lose contrast in bfloat16 (8 significant bits).
        features = self.conv(planes).float().view(batch, CLASSES, self.maps_per_class, *self.grid)
        logits = features.amax(dim=(3, 4)).mean(dim=2)  # z[c] = mean_k max_ij F[c, k, i, j]
        if self.weighted:
            features = features * features.mean(dim=(3, 4), keepdim=True)
        return Proposal(logits, features.mean(dim=2))


class AttentionProposal(nn.Module):
    """The ablation without CARP: the class token classifies, its attention is every class's map."""

    def __init__(self, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.head = nn.Linear(dim, CLASSES)

    def forward(self, class_token: Tensor, attention: Tensor) -> Proposal:
        """Return logits of the class token (B, D) and its attention (B, h * w) as both maps."""
        maps = attention.view(-1, 1, *self.grid).expand(-1, CLASSES, -1, -1)
        return Proposal(self.head(class_token), maps)
