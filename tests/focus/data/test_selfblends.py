from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from focus.data.demo import DemoConfig, write_demo_corpus
from focus.data.doctor import examine
from focus.data.faces import Draw, FaceDataset, TruthMaps
from focus.data.forging.online import KINDS
from focus.data.index import Face, FaceIndex
from focus.data.loading import TrainingPlan, build_loader, collate
from focus.data.transforms import Augmentation
from focus.types import Failure, Sample

BOTH = Augmentation(augment=("self-blend", "photometric"), smallest_crop=0.8)
BLEND = Augmentation(augment=("self-blend",), smallest_crop=0.8)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> FaceIndex:
    """Return 100 drawn real faces."""
    folder = tmp_path_factory.mktemp("drawn")
    write_demo_corpus(folder, DemoConfig(people=25, images_per_person=4, size=64), quiet=True)
    return FaceIndex.read(folder / "index.csv").where(label=0)


def pair(data: FaceDataset, row: int, number: int = 0) -> tuple[Sample, Sample]:
    real, fake = data[Draw(row, number)], data[Draw(row, number, forged=True)]
    assert isinstance(real, Sample)
    assert isinstance(fake, Sample)
    return real, fake


def test_both_faces_of_a_pair_have_one_geometry(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 64, TruthMaps(faces, 64), BLEND)
    for row in range(20):
        real, fake = pair(data, row, 7)
        assert (real.label, fake.label) == (0, 1)
        assert real.map is not None and fake.map is not None  # noqa: PT018
        assert real.map.max() == 0
        assert 0 < fake.map.max() <= 1
        changed = (real.image != fake.image).any(dim=0)
        assert changed.any()
        # A pixel of the sample mixes up to two of the image, as a cell of the map does.
        near = cv2.dilate((fake.map[0] > 0).numpy().astype(np.uint8), np.ones((7, 7), np.uint8))
        assert not (changed.numpy() & (near == 0)).any()


def test_both_faces_of_a_pair_have_one_photometric_draw(faces: FaceIndex) -> None:
    light = Augmentation(augment=("photometric",), flip=False)
    twice = faces.take(np.repeat(np.arange(len(faces)), 2))
    twice.labels[1::2] = 1  # the same files once more, as fakes
    data, changed = FaceDataset(twice, 64, augmentation=light), 0
    for number in range(30):
        real, fake = data[Draw(0, number)], data[Draw(1, number, partner=0)]
        other = data[Draw(1, number)]
        assert torch.equal(real.image, fake.image)
        changed += not torch.equal(real.image, other.image)
    assert changed > 20


def test_companions_follow_the_pair(faces: FaceIndex) -> None:
    for companion in ("original", "mask"):
        data = FaceDataset(faces, 64, augmentation=BOTH, companion=companion)
        for row in range(8):
            real, fake = pair(data, row, 3)
            if companion == "original":
                assert torch.equal(fake.companion, real.image)
                assert torch.equal(real.companion, real.image)
            else:
                assert real.companion.max() == 0
                assert fake.companion.max() > 0


def test_a_self_blend_depends_on_seed_position_and_row_only(faces: FaceIndex) -> None:
    augmentation = Augmentation(augment=("self-blend", "photometric"), edits=KINDS)
    first = FaceDataset(faces, 48, augmentation=augmentation, seed=1)
    again = FaceDataset(faces, 48, augmentation=augmentation, seed=1)
    draw = Draw(4, 9, forged=True)
    _ = again[Draw(3, 2, forged=True)]
    assert torch.equal(first[draw].image, again[draw].image)
    for other in (Draw(4, 10, forged=True), Draw(5, 9, forged=True)):
        assert not torch.equal(first[draw].image, first[other].image)
    another = FaceDataset(faces, 48, augmentation=augmentation, seed=2)
    assert not torch.equal(first[draw].image, another[draw].image)


def test_workers_and_a_resumed_run_yield_the_same_batches(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 32, TruthMaps(faces), BOTH)
    whole = [
        list(build_loader(data, TrainingPlan(faces, 8, (0, 4), "label", forged=1.0), workers))
        for workers in (0, 2)
    ]
    resumed = list(build_loader(data, TrainingPlan(faces, 8, (2, 4), "label", forged=1.0), 0))
    for batch, other in [*zip(*whole, strict=True), *zip(whole[0][2:], resumed, strict=True)]:
        assert torch.equal(batch.images, other.images)
        assert torch.equal(batch.maps, other.maps)
        assert batch.labels.tolist() == [0, 1] * 4
        assert batch.keys[::2] == batch.keys[1::2]


def test_a_run_without_maps_stays_without(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 32, augmentation=BLEND)
    assert collate(pair(data, 0)).maps is None


def test_no_fake_of_the_index_is_opened_for_self_blends(faces: FaceIndex) -> None:
    mixed = FaceIndex.of([*faces, *(Face(f"missing-{k}.png", 1) for k in range(9))], faces.root)
    data = FaceDataset(mixed, 32, augmentation=BLEND)
    plan = TrainingPlan(mixed, 8, (0, 6), "label", forged=1.0)
    assert not any(batch.failures for batch in build_loader(data, plan, 0))


def test_maps_have_the_grid_of_the_others(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 64, TruthMaps(faces, 14), BLEND)
    fake = data[Draw(0, 0, forged=True)]
    assert fake.map.shape == (1, 14, 14)
    assert fake.map.max() > 0


def test_without_fakes_validation_gets_twins_that_never_change(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 32, twins=True)
    assert len(data) == 2 * len(faces)
    samples = [data[row] for row in range(len(data))]
    assert [sample.row for sample in samples] == list(range(len(data)))
    assert [sample.label for sample in samples] == [0] * len(faces) + [1] * len(faces)
    assert torch.equal(samples[-1].image, data[len(data) - 1].image)
    assert not torch.equal(samples[-1].image, samples[len(faces) - 1].image)


def test_a_face_that_cannot_be_forged_is_a_failure(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((8, 8, 3), np.uint8))
    index = FaceIndex.of([Face("black.png", 0)], tmp_path)
    smooth = Augmentation(augment=("self-blend",), edits=("smooth",))
    failure = FaceDataset(index, 8, augmentation=smooth)[Draw(0, 0, forged=True)]
    assert isinstance(failure, Failure)
    assert "cannot be forged visibly" in failure.reason


def test_the_crop_never_leaves_the_forgery_outside(faces: FaceIndex) -> None:
    tight = Augmentation(augment=("self-blend", "photometric"), smallest_crop=0.4)
    data = FaceDataset(faces, 64, TruthMaps(faces, 64), tight)
    found = [data[Draw(number, number, forged=True)] for number in range(60)]
    forged = [sample for sample in found if isinstance(sample, Sample)]
    assert len(forged) >= 58  # where crop and cut-out leave no room, the face is a failure
    assert all(sample.map is not None and sample.map.max() > 0.1 for sample in forged)


def test_the_doctor_finds_written_pairs_clean(faces: FaceIndex, tmp_path: Path) -> None:
    data, rows = FaceDataset(faces, 64, augmentation=BOTH), []
    for row in range(len(faces)):
        for number in range(2):
            for sample in pair(data, row, number):
                name = f"{sample.label}/{row}-{number}.jpg"
                (tmp_path / name).parent.mkdir(exist_ok=True)
                pixels = sample.image.permute(1, 2, 0).numpy()[..., ::-1]
                assert cv2.imwrite(str(tmp_path / name), pixels)
                rows.append(Face(name, sample.label, video=f"{row}"))
    found = examine(FaceIndex.of(rows, tmp_path)).findings
    assert len(rows) == 400
    assert not [finding for finding in found if finding.check == "shortcut"]
    assert not [finding for finding in found if finding.severity == "serious"]


def test_forging_costs_little_more_than_reading(faces: FaceIndex) -> None:
    data = FaceDataset(faces, 224, augmentation=BLEND)

    def measure(forged: bool) -> float:
        start = time.process_time()
        for row in range(60):
            assert isinstance(data[Draw(row, row, forged=forged)], Sample)
        return time.process_time() - start

    measure(forged=True)
    assert min(measure(forged=True) for _ in range(3)) < 12 * min(
        measure(forged=False) for _ in range(3)
    )
