"""Losses of the anchors: cross-entropy with hard negatives, smooth L1 over positives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from plugins.caddm.anchors import Assignment

_NEGATIVES_PER_POSITIVE = 2


def choose_negatives(losses: Tensor, positive: Tensor, at_least: int) -> Tensor:
    """Return the hardest anchors that are not positive, bool (B, A).

    Args:
        losses: (B, A), per anchor.
        positive: bool (B, A).
        at_least: minimum per image; otherwise twice its number of positives.
    """
    hardness = losses.masked_fill(positive, -1)
    ranks = hardness.argsort(dim=1, descending=True).argsort(dim=1)
    wanted = (_NEGATIVES_PER_POSITIVE * positive.sum(dim=1, keepdim=True)).clamp(min=at_least)
    return (ranks < wanted) & ~positive


def anchor_losses(
    confidences: Tensor, offsets: Tensor, assignment: Assignment, at_least: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the losses of confidence and box, both per positive anchor of the batch.

    Args:
        confidences: logits (B, A, 2).
        offsets: (B, A, 4).
        assignment: targets.
        at_least: minimum number of negatives per image.
    """
    positive = assignment.positive
    logits = confidences.float().flatten(0, 1)
    entropy = F.cross_entropy(logits, positive.flatten().long(), reduction="none")
    entropy = entropy.view_as(positive)
    chosen = positive | choose_negatives(entropy.detach(), positive, at_least)
    distance = F.smooth_l1_loss(offsets.float(), assignment.offsets, reduction="none").sum(dim=-1)
    count = positive.sum().clamp(min=1)
    zero = torch.zeros((), device=entropy.device)
    confidence = torch.where(chosen, entropy, zero).sum() / count
    return confidence, torch.where(positive, distance, zero).sum() / count
