"""MoNFAP's pixel loss: fakes have a larger weight than real faces, whatever their maps."""

from __future__ import annotations

from torch import Tensor

from plugins import FAKE, REAL
from plugins.targets import MapMode, pixel_cross_entropy


def weighted_pixel_loss(
    logits: Tensor,
    maps: Tensor,
    labels: Tensor,
    fake_weight: float = 10.0,
    mode: MapMode = "hard",
    threshold: float = 0.5,
) -> Tensor:
    """Return the loss of Eq. 14, at the size of the maps.

    It is the mean cross-entropy over the pixels of the real faces, plus ``fake_weight`` times that
    over the pixels of the fakes. Each is 0 if the batch has no face of the class. The weight
    depends on the label: a fake with an empty map counts as a fake.

    Args:
        logits: of real and fake, (B, 2, h, w).
        maps: (B, 1, H, W) in [0, 1].
        labels: int64 (B,), 0 real, 1 fake.
        fake_weight: lambda.
        mode: ``hard`` or ``soft``, see :func:`plugins.targets.class_probabilities`.
        threshold: of hard maps.
    """
    real, fake = (
        pixel_cross_entropy(logits, maps, mode, threshold, valid=(labels == kind).view(-1, 1, 1, 1))
        for kind in (REAL, FAKE)
    )
    return real + fake_weight * fake
