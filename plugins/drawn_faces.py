"""Synthetic faces of noise for checks; fakes have a bright patch, marked in their map."""

from __future__ import annotations

import torch
from torch import Tensor

from focus.detectors import Trainable
from focus.types import FAKE, Batch


def drawn_faces(network: Trainable, labels: list[int], maps: bool = True, seed: int = 0) -> Batch:
    """Return noise faces, uint8; fakes have a bright patch, marked in their map."""
    spec, count = network.input_spec, len(labels)
    size, generator = spec.image_size, torch.Generator().manual_seed(seed)
    length = (spec.frames,) if spec.frames > 1 else ()
    images = torch.randint(0, 120, (count, 3, *length, size, size), generator=generator)
    truth = torch.zeros(count, 1, *length, size, size)
    fakes = torch.tensor(labels) == FAKE
    patch = forged_patch(size)
    truth[fakes] = truth[fakes].masked_fill(patch, 1)
    originals = images.to(torch.uint8)
    images[fakes] = images[fakes].masked_fill(patch, 240)
    return Batch(
        images.to(torch.uint8),
        torch.tensor(labels),
        truth if maps else None,
        tuple(map(str, range(count))),
        torch.arange(count),
        companions=originals if network.companion == "original" else None,
    )


def forged_patch(size: int) -> Tensor:
    """Return the mask of the forged patch, bool (size, size), right of and above the centre.

    No flip or transposition maps the patch to itself, and it does not touch the border.
    """
    patch = torch.zeros(size, size, dtype=torch.bool)
    patch[size // 4 : size // 2, size // 2 : 3 * size // 4] = True
    return patch
