"""From class maps to a manipulation map in [0, 1] (FoCus, Eq. 4, 5 and 9).

The paper's class maps are unbounded, and it does not give their mapping to [0, 1]. Scaling the
final map per image alone would make real faces as hot as fakes. ``class_minmax`` scales each class
map first and multiplies by its p afterwards: p(fake) of a real face is near 0, and so is its map.
But it brings two modalities of different certainty to one scale, so that their fusion becomes a
patchwork; ``fused_minmax`` fuses the unscaled maps, scales once, and multiplies by the fused
P(fake).
"""

from __future__ import annotations

import torch
from torch import Tensor

from focus.normalisation import Normalisation, minmax

FAKE = 1


def modality_map(
    maps: Tensor, probability: Tensor, normalisation: Normalisation, fake_only: bool
) -> Tensor:
    """Return one modality's CAR map (B, h, w): Eq. 4, or Eq. 9 with the fake class alone.

    Args:
        maps: class maps A (B, 2, h, w), unbounded.
        probability: p (B, 2).
        normalisation: ``class_minmax`` scales each A[c] of each image to [0, 1] here; the others
            scale after fusion.
        fake_only: Eq. 9: only the fake class's term.
    """
    maps = maps.float()
    if normalisation == "class_minmax":
        maps = minmax(maps)
    terms = maps * probability[:, :, None, None]
    return terms[:, FAKE] if fake_only else terms.sum(dim=1)


def finish(
    maps: Tensor, scores: Tensor, normalisation: Normalisation, scale: Tensor | float
) -> Tensor:
    """Bring fused maps (B, h, w) into [0, 1].

    Args:
        maps: fused CAR maps.
        scores: P(fake) (B,) of the faces, for ``fused_minmax``.
        normalisation: ``class_minmax`` is in [0, 1] already; ``fused_minmax`` stretches each map
            and multiplies by the score; ``global`` divides by ``scale``, the 99.9th percentile over
            training fakes; ``image_minmax`` only stretches each map.
        scale: the constant of ``global``.
    """
    if normalisation == "image_minmax":
        return minmax(maps)
    if normalisation == "fused_minmax":
        return minmax(maps) * scores.float()[:, None, None]
    if normalisation == "global":
        maps = maps / scale
    return torch.clamp(maps, 0, 1)
