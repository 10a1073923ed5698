"""Normalise raw evidence to maps in [0, 1], for any generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Normalisation = Literal["class_minmax", "fused_minmax", "global", "image_minmax"]


def minmax(maps: Tensor) -> Tensor:
    """Scale every (h, w) plane to [0, 1]; a flat plane becomes 0."""
    low = maps.amin(dim=(-2, -1), keepdim=True)
    high = maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-6)


def weigh_evidence(
    raw: Tensor, scores: Tensor, normalisation: Normalisation, scale: Tensor | float
) -> Tensor:
    """Return maps (B, h, w) from a detector's raw evidence; unclipped with ``global``.

    Args:
        raw: evidence (B, h, w), at least 0, of any unit.
        scores: P(fake) (B,); multiplies the maps except with ``image_minmax``.
        normalisation: ``class_minmax`` and ``fused_minmax`` stretch each map to [0, 1] and multiply
            by the score, ``global`` multiplies by the score and divides by ``scale``,
            ``image_minmax`` only stretches.
        scale: the constant of ``global``.
    """
    raw, scores = raw.float(), scores.float()[:, None, None]
    if normalisation == "global":
        return raw * scores / scale
    # Divide by the peak first: a map's unit is arbitrary, and may be tiny.
    stretched = minmax(raw / raw.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30))
    return stretched if normalisation == "image_minmax" else stretched * scores
