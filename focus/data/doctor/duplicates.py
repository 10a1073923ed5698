"""Checks for duplicate images: the same bytes, or look-alikes across splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from focus.data.doctor.findings import Finding, Severity
from focus.data.doctor.splits import number_splits
from focus.data.doctor.survey import Survey
from focus.data.index import FaceIndex

MOST_DIFFERENT, MOST_DIFFERENT_DETAILS = 4, 12
"""Most bits (of 64) in which the two hashes of look-alikes may differ. Measured on 719,400 pairs of
different portraits: the first hashes differ in at least 8 bits, the second in at least 12. An image
that is saved at quality 30, halved, doubled or blurred stays within 4 and 4."""
_BANDS = (11, 11, 11, 11, 10, 10)
_MOST_NEIGHBOURS = 1000


def check_duplicates(index: FaceIndex, survey: Survey) -> Iterator[Finding]:
    """Yield repeated keys, files with the same bytes, and look-alikes in two splits."""
    if len(set(index.keys)) < len(index):
        twice = [key for key, count in Counter(index.keys).items() if count > 1]
        yield Finding.of("serious", "duplicate keys", "keys that occur more than once", twice)
    splits = number_splits(index)
    yield from _check_same_bytes(index, survey, splits)
    faces = survey.faces
    first, second = find_lookalikes(faces["hash"], faces["detail"], splits)
    known = (faces["digest"][first] == faces["digest"][second]) & (faces["digest"][first] != 0)
    if not known.all():
        names = _name_pairs(index, first[~known], second[~known])
        message = "images that look like an image of another split"
        count = int((~known).sum())
        yield Finding.of("warning", "duplicates across splits", message, names, count)


def _check_same_bytes(index: FaceIndex, survey: Survey, splits: np.ndarray) -> Iterator[Finding]:
    digests = survey.faces["digest"]
    rows = np.flatnonzero(digests)
    _, at, group = np.unique(digests[rows], return_index=True, return_inverse=True)
    # Each file is compared with the first file of the same bytes.
    one, other = rows[at[group]], rows
    keys, labels = np.array(index.keys, dtype=object), index.labels
    apart = keys[one] != keys[other]
    one, other = one[apart], other[apart]
    crosses = (splits[one] != splits[other]) & (splits[one] >= 0) & (splits[other] >= 0)
    differ = (labels[one] != labels[other]) & (labels[one] >= 0) & (labels[other] >= 0)
    faults: tuple[tuple[Severity, str, np.ndarray], ...] = (
        ("serious", "files that are in two splits", crosses),
        ("serious", "files that are labelled both real and fake", differ),
        ("warning", "files that are listed under two keys", ~crosses & ~differ),
    )
    for severity, message, wrong in faults:
        if wrong.any():
            names = _name_pairs(index, one[wrong], other[wrong])
            yield Finding.of(severity, "duplicate files", message, names, int(wrong.sum()))


def _name_pairs(index: FaceIndex, one: np.ndarray, other: np.ndarray) -> Iterator[str]:
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    return (f"{index.keys[a]} and {index.keys[b]}" for a, b in pairs)


def find_lookalikes(
    hashes: np.ndarray, details: np.ndarray, splits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find images that look like an image of another split.

    Hashes that differ in up to four bits agree in at least two of six bands of bits, so only
    images that share two bands are compared (up to a thousand neighbours in their order).

    Args:
        hashes: uint64 (N,), the first value of ``hash_image``; 0: unknown.
        details: uint64 (N,), the second value.
        splits: int8 (N,), -1 for none.

    Returns:
        Two arrays of rows, int (M,): a look-alike in an earlier split, and the row of the later
        split (val after train, test after val). Each later row occurs once.
    """
    known = np.flatnonzero((hashes != 0) & (splits >= 0))
    kinds = np.stack([hashes[known], details[known], splits[known].astype(np.uint64)], axis=1)
    # Videos repeat frames by the hundred: keep one row per distinct hash and split.
    kinds, at, group = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    rows, (values, fine, sides) = known[at], kinds.T
    partner = np.full(len(kinds), -1)
    for key in _join_bands(values):
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        left = np.arange(len(order))
        for shift in range(1, _MOST_NEIGHBOURS):
            left = left[left + shift < len(order)]
            left = left[ordered[left] == ordered[left + shift]]
            if not len(left):
                break
            one, other = order[left], order[left + shift]
            near = sides[one] != sides[other]
            near &= _count_bits(values[one] ^ values[other]) <= MOST_DIFFERENT
            near &= _count_bits(fine[one] ^ fine[other]) <= MOST_DIFFERENT_DETAILS
            one, other = one[near], other[near]
            earlier = np.where(sides[one] < sides[other], one, other)
            partner[one + other - earlier] = rows[earlier]
    found = partner[group.ravel()]
    return found[found >= 0], known[found >= 0]


def _join_bands(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for each pair of bands, the number that their bits form."""
    starts = np.cumsum((0, *_BANDS))[:-1].tolist()
    bands = [
        values >> np.uint64(start) & np.uint64(2**width - 1)
        for start, width in zip(starts, _BANDS, strict=True)
    ]
    yield from (one << np.uint64(max(_BANDS)) | other for one, other in combinations(bands, 2))


def _count_bits(values: np.ndarray) -> np.ndarray:
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8)
    bits: np.ndarray = np.unpackbits(octets, axis=1).sum(axis=1)
    return bits
