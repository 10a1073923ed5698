"""Joining a prediction with that of the mirrored face."""

from __future__ import annotations

from torch import Tensor


def join_mirrored(
    scores: Tensor, maps: Tensor, mirrored_scores: Tensor, mirrored_maps: Tensor
) -> tuple[Tensor, Tensor]:
    """Return scores and maps of faces, each joined with that of its mirror image.

    Args:
        scores: float32 (B,), P(fake); NaN without a score.
        maps: float32 (B, h, w) in [0, 1].
        mirrored_scores: those of the mirrored faces.
        mirrored_maps: those of the mirrored faces, still mirrored.

    Returns:
        Scores whose logit is the mean of both (cut at a probability of 1e-6), and the mean maps.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[[0.0, 1.0]]])
        >>> join_mirrored(torch.tensor([0.2]), maps, torch.tensor([0.8]), maps)
        (tensor([0.5000]), tensor([[[0.5000, 0.5000]]]))
    """
    both = scores.logit(1e-6) + mirrored_scores.logit(1e-6)
    return both.div(2).sigmoid(), (maps + mirrored_maps.flip(-1)) / 2
