"""Similar images are found."""

from __future__ import annotations

import numpy as np

from focus.data.doctor.duplicates import find_lookalikes


def test_lookalikes_are_those_of_a_search_over_all_pairs():
    rng = np.random.default_rng(3)
    seeds = rng.integers(1, 2**63, 60, dtype=np.uint64)
    hashes = seeds[rng.integers(0, 60, 400)]
    for _ in range(2):
        hashes ^= np.uint64(1) << rng.integers(0, 64, 400).astype(np.uint64)
    details = np.where(rng.random(400) < 0.8, 0, 2**20 - 1).astype(np.uint64)
    splits = rng.integers(-1, 3, 400).astype(np.int8)

    def alike(one, other):
        near = int(hashes[one] ^ hashes[other]).bit_count() <= 4
        return near and int(details[one] ^ details[other]).bit_count() <= 12

    later = {
        other
        for other in range(400)
        if any(
            alike(one, other) for one in np.flatnonzero((splits >= 0) & (splits < splits[other]))
        )
    }
    first, second = find_lookalikes(hashes, details, splits)
    assert set(second.tolist()) == later
    assert len(second) == len(later) > 20
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        assert alike(one, other)
        assert 0 <= splits[one] < splits[other]
