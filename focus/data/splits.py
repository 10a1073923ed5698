"""Training and validation faces of an index."""

from __future__ import annotations

import hashlib

import numpy as np

from focus.data.index import FaceIndex
from focus.errors import InputError
from focus.types import FAKE, REAL, UNKNOWN


def split_index(
    index: FaceIndex, hold_out: float, seed: int, self_blend: bool = False
) -> tuple[FaceIndex, FaceIndex]:
    """Return training and validation faces with known labels; ``test`` is not used.

    Args:
        index: all faces.
        hold_out: without a val split, share of the videos (or files) to validate on.
        seed: random seed of that choice.
        self_blend: fakes are made of the real faces, so that none are needed.

    Raises:
        InputError: no train or val faces, or a split with a single class.
    """
    known = index.take(index.labels != UNKNOWN)
    if not len(known):
        raise InputError("no face has a label; training needs label 0 (real) and 1 (fake)")
    if any(known.column("split")):
        train, val = known.where("train"), known.where("val")
        if not len(train):
            raise InputError("the index has no 'train' rows; training needs splits train and val")
        if not len(val) and hold_out:
            train, val = hold_out_videos(train, hold_out, seed)
    elif hold_out:
        train, val = hold_out_videos(known, hold_out, seed)
    else:
        raise InputError(
            "the index has no split column; add one (train, val, test), or use --hold-out 0.2 to "
            "take a share of the videos as val"
        )
    if not len(val):
        raise InputError(
            "the index has no 'val' rows, and models are never selected on test; add val rows, or "
            "use --hold-out 0.2 to take a share of the training videos"
        )
    for name, part in (("train", train), ("val", val)):
        for label, word in ((REAL, "real"), (FAKE, "fake")):
            if not (part.labels == label).any() and not (self_blend and label == FAKE):
                raise InputError(f"the {name} split has no {word} face; both classes are needed")
    return train, val


def hold_out_videos(index: FaceIndex, share: float, seed: int) -> tuple[FaceIndex, FaceIndex]:
    """Split by a hash of the video (or path), so that added rows do not change the choice."""
    units = [video or path for video, path in zip(index.column("video"), index.keys, strict=True)]
    digests = (hashlib.sha256(f"{seed}:{unit}".encode()).digest() for unit in units)
    held = np.array([int.from_bytes(digest[:8], "big") / 2**64 < share for digest in digests])
    return index.take(~held), index.take(held)
