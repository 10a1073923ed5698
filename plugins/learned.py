"""Check a network's scores and maps after training on synthetic faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from focus.detectors import Trainable
from focus.types import FAKE, REAL, Batch
from plugins.drawn_faces import forged_patch

SETTLING_STEPS, RANKED_SHARE = 4, 0.75


@torch.no_grad()
def settle_statistics(network: Trainable, batch: Batch) -> None:
    """Replace running statistics, not settled after a few steps, by those of a batch."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over batches
    for _ in range(SETTLING_STEPS):
        network.loss(batch)


def find_score_fault(scores: Tensor, labels: Tensor) -> str:
    """Return how the scores (B,) contradict the labels (B,); empty if they do not."""
    fakes, reals = scores[labels == FAKE], scores[labels == REAL]
    share = float((fakes[:, None] > reals[None]).float().mean())
    if share >= RANKED_SHARE:
        return ""
    return f"a fake scores above a real face in {share:.0%} of the pairs; is the score P(fake)?"


def find_map_fault(maps: Tensor, size: int) -> str:
    """Return how maps of fakes contradict the forged patch; empty if they do not.

    Args:
        maps: (B, 1, [T,] h, w) in [0, 1], 1 = forged.
        size: side of the images.
    """
    mean = maps.flatten(0, -3).mean(dim=0)[None, None]
    resized = F.interpolate(mean, (size, size), mode="nearest-exact")[0, 0]
    patch = forged_patch(size).to(resized.device)
    misplaced = {
        "mirrored left to right": patch.flip(1),
        "upside down": patch.flip(0),
        "transposed, or turned by 180 degrees": patch.T,  # the same for this patch
    }
    inside, outside = float(resized[patch].mean()), float(resized[~patch].mean())
    rivals = {name: float(resized[place].mean()) for name, place in misplaced.items()}
    name, highest = max(rivals.items(), key=lambda rival: rival[1])
    if inside > max(outside, highest):
        return ""
    return (
        f"maps of fakes are {inside:.3g} on the forged patch, {outside:.3g} elsewhere and "
        f"{highest:.3g} where the patch would be {name}; 1 is forged"
    )
