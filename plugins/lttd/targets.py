"""The integrity of patch sequences from the maps of all frames."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from plugins.targets import area_average, harden

IntegrityMode = Literal["soft", "hard", "relative"]
TimePooling = Literal["mean", "max"]


def sequence_integrity(
    maps: Tensor,
    grid: tuple[int, int],
    mode: IntegrityMode = "soft",
    pooling: TimePooling = "mean",
    *,
    threshold: float = 0.1,
    least_share: float = 0.05,
    peak_share: float = 0.5,
) -> Tensor:
    """Return the degree of manipulation of each patch sequence; exactly 0 for real clips.

    Args:
        maps: (B, 1, T, H, W) in [0, 1].
        grid: height and width of the grid of sequences.
        mode: ``soft``: the averages r of the patches' areas over time; ``hard``: 1 where those of
            the maps at ``threshold`` exceed ``least_share``; ``relative``: 1 where r exceeds
            ``peak_share`` of the clip's maximum.
        pooling: the mean over time, or the frame in which a patch is most manipulated.
        threshold: of hard maps.
        least_share: share of a sequence that must be manipulated for it to count.
        peak_share: share of the highest r of the clip.

    Returns:
        (B, N) in [0, 1] of the maps' type, row by row.
    """
    cells = area_average(harden(maps, threshold) if mode == "hard" else maps, grid)[:, 0]
    shares = (cells.mean(dim=1) if pooling == "mean" else cells.amax(dim=1)).flatten(1)
    if mode == "soft":
        return shares
    floor = least_share if mode == "hard" else peak_share * shares.amax(dim=1, keepdim=True)
    return (shares > floor).to(maps.dtype)


def pairwise_agreement(integrity: Tensor) -> Tensor:
    """Return C[i, j] = 1 - |r_i - r_j| for every two sequences: (B, N) to (B, N, N)."""
    return 1 - (integrity[:, :, None] - integrity[:, None]).abs()
