"""Run-length encoding of masks as COCO's results hold it."""

from __future__ import annotations

import numpy as np


def encode_rle(mask: np.ndarray) -> str:
    """Return the compressed counts of a mask.

    Pixels are read column by column; the counts are the lengths of runs, the first one of zeros
    (and so 0 where the mask begins with a one). From the fourth on, a count is stored as its
    difference to the one two before it. Each number is cut into groups of five bits, the lowest
    first and the last one carrying the sign; a sixth bit says that more follow, and 48 is added to
    make a printable character.

    Args:
        mask: bool (H, W).

    Returns:
        ASCII text: ``counts`` beside ``size`` [H, W].
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
