from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from focus.data import loading
from focus.data.faces import Draw, FaceDataset
from focus.data.index import Face, FaceIndex
from focus.data.loading import TrainingPlan, build_loader, collate, count_workers
from focus.errors import InputError
from focus.types import Batch, Failure, Sample


def index_of(labels: list[int], methods: list[str] | None = None) -> FaceIndex:
    paths = [str(row) for row in range(len(labels))]
    columns = {"path": paths, "method": methods or [""] * len(labels)}
    return FaceIndex(columns, np.array(labels), ".")


def rows_of(plan: TrainingPlan) -> list[int]:
    return [draw.row for batch in plan for draw in batch]


@pytest.mark.parametrize("balance", ["none", "label", "method"])
def test_the_seed_shuffles(balance: loading.Balance) -> None:
    index = index_of([0] * 30 + [1] * 30, [""] * 30 + ["a", "b"] * 15)
    first = rows_of(TrainingPlan(index, 60, (0, 1), balance, seed=0))
    assert first == rows_of(TrainingPlan(index, 60, (0, 1), balance, seed=0))
    others = [rows_of(TrainingPlan(index, 60, (0, 1), balance, seed=s)) for s in (1, 2)]
    assert first not in others
    assert others[0] != others[1]
    assert sorted(first) == sorted(others[0])
    assert first != sorted(first)


def test_every_epoch_has_every_face_once_in_another_order() -> None:
    index = index_of([0, 1] * 10)
    rows = rows_of(TrainingPlan(index, 10, (0, 8)))
    epochs = [rows[start : start + 20] for start in range(0, 80, 20)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4


def test_groups_of_one_size_are_not_shuffled_alike() -> None:
    index = index_of([0] * 12 + [1] * 12)
    draws = rows_of(TrainingPlan(index, 24, (0, 1), "label"))
    assert draws[::2] != [row - 12 for row in draws[1::2]]
    index = index_of([0] + [1] * 24, [""] + ["a"] * 12 + ["b"] * 12)
    fakes = [row for row in rows_of(TrainingPlan(index, 48, (0, 1), "method")) if row]
    assert fakes[::2] != [row - 12 for row in fakes[1::2]]


def test_classes_and_methods_take_turns() -> None:
    index = index_of([0] * 4 + [1] * 6 + [-1], [""] * 4 + list("abcabc") + [""])
    rows = rows_of(TrainingPlan(index, 12, (0, 1), "method"))
    assert [int(index.labels[row]) for row in rows] == [0, 1] * 6
    assert [index.column("method")[row] for row in rows[1::2]] == list("abcabc")
    rows = rows_of(TrainingPlan(index, 12, (0, 3), "label"))
    assert 10 not in rows  # the face without a label
    assert 10 in rows_of(TrainingPlan(index, 11, (0, 1), "none"))


def test_draws_are_numbered_by_their_place_in_the_whole_stream() -> None:
    index = index_of([0, 1] * 4)
    plan = TrainingPlan(index, 4, (3, 5), process=(1, 2))
    assert [[draw.number for draw in batch] for batch in plan] == [[13, 15], [17, 19]]
    assert len(plan) == 2
    plan = TrainingPlan(index, 4, (3, 5), accumulation=2)
    assert [[draw.number for draw in batch] for batch in plan] == [
        [12, 13],
        [14, 15],
        [16, 17],
        [18, 19],
    ]
    assert len(plan) == 4


def sample(row: int, label: int, has_map: bool = True, companion: int | None = None) -> Sample:
    image = torch.full((3, 6, 5), row, dtype=torch.uint8)
    values = torch.full((1, 2, 2), 0.5) if has_map else None
    other = None if companion is None else torch.full((1, 6, 5), companion, dtype=torch.uint8)
    return Sample(row, image, label, values, f"k{row}", other)


def test_a_batch_has_its_samples_in_order_and_failures_apart() -> None:
    failures = [Failure(4, "k4", "gone"), Failure(7, "k7", "cut short")]
    mixed = [sample(3, 1), failures[0], sample(9, 0), failures[1], sample(2, -1)]
    batch = collate(mixed)
    assert batch.keys == ("k3", "k9", "k2")
    assert batch.rows.tolist() == [3, 9, 2]
    assert batch.rows.dtype == torch.int64
    assert batch.labels.tolist() == [1, 0, -1]
    assert batch.labels.dtype == torch.int64
    assert batch.images.shape == (3, 3, 6, 5)
    assert batch.images[:, 0, 0, 0].tolist() == [3, 9, 2]
    assert batch.failures == tuple(failures)
    assert batch.companions is None


def test_a_real_face_without_a_map_is_blank_and_a_fake_without_one_is_not() -> None:
    batch = collate([sample(0, 1), sample(1, 0, has_map=False)])
    assert batch.maps is not None
    assert batch.maps.shape == (2, 1, 2, 2)
    assert batch.maps.amax(dim=(1, 2, 3)).tolist() == [0.5, 0]
    for label in (1, -1):
        assert collate([sample(0, 1), sample(1, label, has_map=False)]).maps is None
    assert collate([sample(0, 0, has_map=False)]).maps is None


def test_a_batch_of_failures_is_empty() -> None:
    failure = Failure(0, "k0", "gone")
    batch = collate([failure])
    assert isinstance(batch, Batch)
    assert (batch.keys, batch.failures, batch.maps) == ((), (failure,), None)
    assert batch.images.shape[0] == len(batch.labels) == len(batch.rows) == 0
    assert batch.images.dtype == torch.uint8


def test_companions_stand_beside_their_faces() -> None:
    batch = collate([sample(0, 1, companion=10), sample(1, 0, companion=20)])
    assert batch.companions is not None
    assert batch.companions.shape == (2, 1, 6, 5)
    assert batch.companions[:, 0, 0, 0].tolist() == [10, 20]


def test_pixels_keep_their_places_however_they_lie_in_memory() -> None:
    pixels = torch.arange(6 * 5 * 3, dtype=torch.uint8).view(6, 5, 3)
    stacked = collate([sample(0, 1)._replace(image=pixels.permute(2, 0, 1))]).images
    assert torch.equal(stacked[0].permute(1, 2, 0), pixels)


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "local_processes", lambda: 2)
    for cores, expected in ((1, 1), (8, 3), (100, 16)):
        monkeypatch.setattr(loading, "available_cores", lambda cores=cores: cores)
        assert count_workers(-1) == expected
    assert [count_workers(given) for given in (0, 1, 40)] == [0, 1, 40]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_order_with_failures(tmp_path: Path, workers: int) -> None:
    for row in range(5):
        cv2.imwrite(str(tmp_path / f"{row}.png"), np.full((8, 8, 3), 10 * row, np.uint8))
    index = FaceIndex.of([Face(f"{row}.png", row % 2) for row in range(6)], tmp_path)
    loader = build_loader(FaceDataset(index, 8), [[4, 5], [0, 3, 1]], workers)
    first, second = list(loader)
    assert (first.keys, [failure.row for failure in first.failures]) == (("4.png",), [5])
    assert second.images[:, 0, 0, 0].tolist() == [0, 30, 10]
    drawn = build_loader(FaceDataset(index, 8), [[Draw(2, 0)]], workers, join=len)
    assert list(drawn) == [1]


def test_a_temporary_folder_too_deep_for_sockets_is_refused(monkeypatch, tmp_path) -> None:
    """The workers would lose their batches, and the reader would wait for ever."""
    monkeypatch.setattr("sys.version_info", (3, 13))
    monkeypatch.setattr("tempfile.tempdir", f"/tmp/{'x' * 67}")
    faces = FaceDataset(FaceIndex.of([Face("a.png", 0)], tmp_path), 8)
    with pytest.raises(InputError, match=r"72 characters, at most 71 .* set TMPDIR"):
        loading.build_loader(faces, [[0]], 1)
    loading.build_loader(faces, [[0]], 0)
    monkeypatch.setattr("tempfile.tempdir", f"/tmp/{'x' * 66}")
    loading.build_loader(faces, [[0]], 1)
