"""Multi-scale facial swap: blend a fake and its aligned original, whole or in a window.

Batched, without landmarks: the face region is an ellipse at its usual position in a crop. All
randomness comes from torch's generator.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

from plugins import FaceShape
from plugins.caddm.targets import draw_windows, has_mass

WINDOWS = ((40, 80), (80, 120), (120, 160), (224, 224))
"""Heights and widths in pixels at 224."""
PARTIAL, FACE_OUT, FACE_IN = 0.2, 0.4, 0.2
"""Shares of the fakes: forged in a window alone; the original's face put into the fake; the fake's
face put into the original. The others are unchanged."""
_DEFORMED = 0.5
_SEAMLESS = 0.5
_BEND = 0.03
_VISIBLE = 4 / 255


class Swapped(NamedTuple):
    """images: float32 (B, 3, H, W), 0 to 255.  boxes: (B, 4), the windows.

    partial: bool (B,), which faces are forged only in their window.
    """

    images: Tensor
    boxes: Tensor
    partial: Tensor


@torch.no_grad()
def swap_faces(
    images: Tensor, originals: Tensor, fake: Tensor, evidence: Tensor, floor: float
) -> Swapped:
    """Swap the faces of randomly chosen fakes and their originals; others are unchanged.

    Args:
        images: float32 (B, 3, H, W), 0 to 255.
        originals: of the same shape, range and geometry.
        fake: bool (B,).
        evidence: (B, 1, H, W) in [0, 1], where the fakes are forged.
        floor: minimum value that counts as evidence; with too little, no window is placed.
    """
    count, side, device = len(images), images.shape[-1], images.device
    inside = evidence * draw_hulls(count, side, 0, device)
    boxes = draw_windows(inside, WINDOWS).boxes
    role = torch.rand(count, device=device)
    partial = (role < PARTIAL) & has_mass(inside, floor)
    face_out = (role >= PARTIAL) & (role < PARTIAL + FACE_OUT)
    face_in = (role >= PARTIAL + FACE_OUT) & (role < PARTIAL + FACE_OUT + FACE_IN)
    masks = torch.where(
        _each(partial), fill_boxes(boxes, side), draw_hulls(count, side, _DEFORMED, device)
    )
    below = torch.where(_each(partial | face_in), originals, images)
    content = torch.where(_each(face_out), originals, images)
    swapped = blend(below, content, masks, torch.rand(count, device=device) < _SEAMLESS)
    shown = has_mass((swapped - originals).abs().amax(dim=1, keepdim=True) / 255, _VISIBLE)
    taken = fake & (partial | face_out | face_in) & shown
    return Swapped(torch.where(_each(taken), swapped, images), boxes, taken & partial)


def draw_hulls(count: int, side: int, deformed: float, device: torch.device) -> Tensor:
    """Return masks of face regions, 0 or 1, float32 (count, 1, side, side).

    Args:
        count: number of faces.
        side: side of the square images in pixels.
        deformed: share of the ellipses deformed by a smooth random field.
        device: of the result.
    """
    outline = torch.from_numpy(FaceShape.from_box(side, side).outline)
    low, high = outline.amin(dim=0), outline.amax(dim=0)
    centre, radii = ((low + high) / 2).tolist(), ((high - low) / 2).tolist()
    field = torch.randn(count, 2, 5, 5, device=device) * (_BEND * side)
    field *= _each(torch.rand(count, device=device) < deformed)
    field = F.interpolate(field, (side, side), mode="bicubic", align_corners=True)
    places = torch.arange(side, device=device, dtype=torch.float32)
    across = (places[None, :] - centre[0] + field[:, 0]) / radii[0]
    down = (places[:, None] - centre[1] + field[:, 1]) / radii[1]
    return (across**2 + down**2 <= 1).float()[:, None]


def fill_boxes(boxes: Tensor, side: int) -> Tensor:
    """Return boxes (B, 4) as masks of 0 and 1, float32 (B, 1, side, side)."""
    places = torch.arange(side, device=boxes.device)
    left, top, right, bottom = boxes.split(1, dim=1)
    columns = (places >= left) & (places < right)
    rows = (places >= top) & (places < bottom)
    return (rows[:, :, None] & columns[:, None, :]).float()[:, None]


def blend(below: Tensor, content: Tensor, masks: Tensor, seamless: Tensor) -> Tensor:
    """Put content into images, both (B, 3, H, W), where masks (B, 1, H, W) are 1.

    The edge is softened by a 5 x 5 blur; nothing changes beyond it. Where ``seamless`` (bool, (B,))
    the content's colours are shifted to those around it.
    """
    weights = gaussian_blur2d(masks, (5, 5), (3.0, 3.0))
    chosen = seamless.nonzero()[:, 0]
    if len(chosen):
        moves = membrane(below[chosen] - content[chosen], masks[chosen])
        content = content.index_add(0, chosen, moves)
    # Written so that a weight of 0 or 1 gives exactly one of the two.
    mixed = torch.where(weights < 1, below + weights * (content - below), content)
    return mixed.clamp(0, 255)


def membrane(difference: Tensor, masks: Tensor) -> Tensor:
    """Spread the difference at the rim of masks smoothly over their inside.

    Poisson blending adds the harmonic function of these boundary values. This is Shepard's
    interpolation of them by distance to the power -3, close to it (Farbman et al., Convolution
    Pyramids, 2011), and one convolution.

    Args:
        difference: float32 (B, C, H, W).
        masks: (B, 1, H, W) of 0 and 1.

    Returns:
        float32 (B, C, H, W); 0 without a rim.
    """
    height, width = masks.shape[-2:]
    rim = F.max_pool2d(masks, 3, stride=1, padding=1) - masks
    down, across = (
        torch.minimum(places, 2 * side - places)
        for side in (height, width)
        for places in [torch.arange(2 * side, device=masks.device)]
    )
    kernel = (down[:, None] ** 2 + across[None, :] ** 2).float().clamp(min=1) ** -1.5
    values = torch.fft.rfft2(torch.cat([difference * rim, rim], dim=1), s=kernel.shape)
    spread = torch.fft.irfft2(values * torch.fft.rfft2(kernel), s=kernel.shape)
    spread = spread[..., :height, :width]
    return spread[:, :-1] / spread[:, -1:].clamp(min=(height * width) ** -1.0)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
