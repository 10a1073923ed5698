"""From class maps to a manipulation map in [0, 1] (FoCus, Eq. 4, 5 and 9).

The paper's class maps are unbounded and it does not say how they reach [0, 1]. Scaling the final
map per image would paint a real face as hot as a fake one, so the default scales each class map
first and multiplies by p afterwards: a real face has p(fake) near 0 and stays calm.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Normalisation = Literal["class_minmax", "global", "image_minmax"]
FAKE = 1


def modality_map(
    maps: Tensor, probability: Tensor, normalisation: Normalisation, fake_only: bool
) -> Tensor:
    """Return one modality's CAR map (B, h, w): Eq. 4, or Eq. 9 with the fake class alone.

    Args:
        maps: class maps A (B, 2, h, w), unbounded.
        probability: p (B, 2).
        normalisation: ``class_minmax`` scales each A[c] of each image to [0, 1] here; the other
            two scale after fusion.
        fake_only: Eq. 9: only the fake class's term.
    """
    maps = maps.float()
    if normalisation == "class_minmax":
        maps = minmax(maps)
    terms = maps * probability[:, :, None, None]
    return terms[:, FAKE] if fake_only else terms.sum(dim=1)


def minmax(maps: Tensor) -> Tensor:
    """Scale every (h, w) plane to [0, 1]; a flat plane becomes 0."""
    low = maps.amin(dim=(-2, -1), keepdim=True)
    high = maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-6)


def weigh_evidence(
    raw: Tensor, scores: Tensor, normalisation: Normalisation, scale: Tensor | float
) -> Tensor:
    """Return maps (B, h, w) of a detector's raw evidence; those of ``global`` unclipped.

    Args:
        raw: evidence (B, h, w), at least 0, of any unit.
        scores: P(fake) (B,), by which a map is multiplied unless it is merely stretched.
        normalisation: ``class_minmax`` stretches each map to [0, 1] first, ``global`` divides by
            ``scale``, ``image_minmax`` stretches and is done.
        scale: the constant of ``global``.
    """
    raw, scores = raw.float(), scores.float()[:, None, None]
    if normalisation == "global":
        return raw * scores / scale
    # Relative to its peak first: a map's unit is arbitrary, and may be minute.
    stretched = minmax(raw / raw.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30))
    return stretched if normalisation == "image_minmax" else stretched * scores


def finish(maps: Tensor, normalisation: Normalisation, scale: Tensor | float) -> Tensor:
    """Bring fused maps (B, h, w) into [0, 1].

    Args:
        maps: fused CAR maps.
        normalisation: ``class_minmax`` is there already; ``global`` divides by ``scale``, the
            99.9th percentile over training fakes; ``image_minmax`` stretches each map.
        scale: the constant of ``global``.
    """
    if normalisation == "image_minmax":
        return minmax(maps)
    if normalisation == "global":
        maps = maps / scale
    return torch.clamp(maps, 0, 1)
