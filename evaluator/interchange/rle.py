"""Run-length encoding of masks in the format of COCO results."""

from __future__ import annotations

import numpy as np


def encode_rle(mask: np.ndarray) -> str:
    """Return the compressed counts of a mask.

    Pixels are read in column-major order; counts are run lengths, starting with a run of zeros
    (0 if the mask begins with a one). From the fourth on, a count is stored as its difference from
    the count two positions before. Each number is split into groups of five bits, lowest first,
    the last carrying the sign; a sixth bit marks that more groups follow, and 48 is added to make
    a printable character.

    Args:
        mask: bool (H, W).

    Returns:
        ASCII text: the ``counts`` that accompany ``size`` [H, W].
    """
    pixels = np.asarray(mask, dtype=bool).ravel(order="F")
    turns = np.flatnonzero(np.diff(pixels, prepend=False))
    counts = np.diff(turns, prepend=0, append=pixels.size).tolist()
    text = bytearray()
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            group, value = value & 31, value >> 5
            # The sign is in the fifth bit: nothing is left when all higher bits repeat it.
            if value == (-1 if group & 16 else 0):
                text.append(group + 48)
                break
            text.append(group + 32 + 48)
    return text.decode("ascii")
