"""Show a face's modalities on fixed scales, so that faces can be compared.

This module imports torch and kornia; import it only to show modalities.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from focus.errors import InputError
from focus.modalities import DCT_BLOCK, MODALITIES, SRM_CLAMP, dct, sobel, srm
from focus.view.overlay import Image


def show_modality(image: Image, name: str) -> Image:
    """Compute a modality of an image at its own size, as a viewable image.

    ``rgb`` is the image itself. ``sobel``: the square root of twice the gradient magnitude, so
    that weak edges are visible. ``dct``: log(1 + |c|) of every coefficient, at its place in its
    block, divided by log(1 + 8 * 255), the value of a white block; incomplete blocks at the right
    and bottom are black. ``srm``: the three residuals, 0 as mid-grey, black and white
    where they are clamped.

    Args:
        image: uint8 RGB (H, W, 3).
        name: one of ``focus.modalities.MODALITIES``.

    Returns:
        uint8 RGB (H, W, 3).
    """
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
    # Not inference mode: kernels cached here may be part of a backward pass later.
    with torch.no_grad():
        shown = _VIEWS[name].show(planes).clamp(0, 1)[0].permute(1, 2, 0)
        return np.asarray((shown * 255).round().byte().numpy())


def describe(names: Sequence[str]) -> dict[str, str]:
    """Return a one-line explanation of each modality's image in :func:`show_modality`.

    Raises:
        InputError: a name that is not in ``focus.modalities.MODALITIES``.
    """
    for name in names:
        if name not in MODALITIES:
            near = difflib.get_close_matches(name.lower(), MODALITIES, n=1)
            hint = f"perhaps {near[0]}? " if near else ""
            known = ", ".join(MODALITIES)
            raise InputError(f"--modalities {name}: no such modality; {hint}known: {known}")
    return {name: _VIEWS[name].meaning for name in names}


def _show_sobel(image: Tensor) -> Tensor:
    return (2 * sobel(image)).sqrt()


def _show_dct(image: Tensor) -> Tensor:
    height, width = (side - side % DCT_BLOCK for side in image.shape[-2:])
    if not height or not width:
        return torch.zeros_like(image)
    spectrum = dct(image[..., :height, :width]) / math.log1p(255 * DCT_BLOCK)
    return F.pad(spectrum, (0, image.shape[-1] - width, 0, image.shape[-2] - height))


def _show_srm(image: Tensor) -> Tensor:
    return srm(image) / (2 * SRM_CLAMP) + 0.5


class _View(NamedTuple):
    show: Callable[[Tensor], Tensor]  # (1, 3, H, W) to the same shape; shown clamped to [0, 1]
    meaning: str


_VIEWS = {
    "rgb": _View(MODALITIES["rgb"], "the colours, unchanged"),
    "sobel": _View(
        _show_sobel,
        "square root of each colour's gradient magnitude; white: a step from 0 to 255",
    ),
    "dct": _View(
        _show_dct,
        "log cosine spectrum of each 8 x 8 block, the mean in its top left corner; the same scale "
        "for all faces",
    ),
    "srm": _View(
        _show_srm,
        "noise residuals of three filters as red, green and blue; mid-grey: none, black and "
        "white: 3 grey values or more",
    ),
}
