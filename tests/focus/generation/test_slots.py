"""Buffers of loader workers."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from focus.generation.slots import SlotCollate
from focus.types import Failure, Sample


class Numbers(Dataset):
    """Images filled with their own number; one in five is unreadable."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> Sample | Failure:
        if row % 5 == 4:
            return Failure(row, str(row), "gone")
        image = torch.full((5, 4, 3), row, dtype=torch.uint8).permute(2, 0, 1)
        return Sample(row, image, row % 2, None, str(row))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_buffer_is_not_reused_while_it_is_held(workers: int) -> None:
    held = 2
    loader = DataLoader(
        Numbers(), batch_size=2, num_workers=workers, prefetch_factor=2 if workers else None
    )
    loader.collate_fn = SlotCollate(2, loader.prefetch_factor or 0, held)
    window: deque[Any] = deque(maxlen=held)
    addresses = set()
    for batch in loader:
        window.append(batch)
        time.sleep(0.01)
        for kept in window:
            assert kept.images[:, 0, 0, 0].tolist() == kept.rows.tolist()
            assert kept.images.shape[1:] == (3, 5, 4)
            addresses.add(kept.images.data_ptr())
    assert workers or len(addresses) == held + 1
