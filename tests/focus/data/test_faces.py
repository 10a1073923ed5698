from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from focus.data.faces import Draw, FaceDataset, TruthMaps
from focus.data.index import Face, FaceIndex
from focus.data.transforms import Augmentation
from focus.errors import InputError, UnreadableError
from focus.types import Failure, Sample


def noise(seed: int, height: int = 24, width: int = 24) -> np.ndarray:
    """Return random RGB pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path: Path, image: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return image


def pixels(sample: Sample | Failure, name: str = "image") -> np.ndarray:
    assert isinstance(sample, Sample), sample
    return getattr(sample, name).permute(1, 2, 0).numpy()


def test_a_sample_is_the_image_with_its_label_and_key(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{row}.png", noise(row)) for row in range(3)]
    index = FaceIndex.of(
        [Face(f"{row}.png", label) for row, label in enumerate((1, -1, 0))], tmp_path
    )
    faces = FaceDataset(index, 24)
    assert len(faces) == 3
    for row, image in enumerate(images):
        sample = faces[row]
        assert np.array_equal(pixels(sample), image)
        assert (sample.row, sample.key, sample.label) == (row, f"{row}.png", (1, -1, 0)[row])
        assert sample.map is None
        assert sample.companion is None
        assert sample.image.dtype == torch.uint8


def test_faces_of_one_image_are_cropped_by_their_own_boxes(tmp_path: Path) -> None:
    fake, original = save(tmp_path / "f.png", noise(1)), save(tmp_path / "o.png", noise(2))
    boxes = [(0, 0, 8, 8), (10, 4, 18, 12), (12, 14, 20, 22)]
    faces = [
        Face(f"f.png#0.{k}", 1, original=f"o.png#0.{k}", extra={"box": " ".join(map(str, box))})
        for k, box in enumerate(boxes)
    ]
    pairs = FaceDataset(FaceIndex.of(faces, tmp_path), 8, companion="original")
    for row, (left, top, right, bottom) in enumerate(boxes):
        assert np.array_equal(pixels(pairs[row]), fake[top:bottom, left:right])
        assert np.array_equal(pixels(pairs[row], "companion"), original[top:bottom, left:right])


def test_maps_go_by_key_and_only_those_of_real_faces_are_blank(tmp_path: Path) -> None:
    for name in ("real", "fake", "bare", "unknown", "blank"):
        save(tmp_path / f"{name}.png", noise(0))
    labels = {"real": 0, "fake": 1, "bare": 1, "unknown": -1, "blank": 0}
    index = FaceIndex.of([Face(f"{name}.png", label) for name, label in labels.items()], tmp_path)
    maps = {
        f"{name}.png": np.full((3, 3), value, np.float32)
        for name, value in (("unknown", 0.25), ("fake", 0.75), ("real", 1))
    }
    faces = FaceDataset(index, 24, maps)
    peaks = [None if (m := faces[row].map) is None else float(m.max()) for row in range(5)]
    assert peaks == [0, 0.75, None, 0.25, None]
    assert faces[1].map.shape == (1, 3, 3)
    assert maps["real.png"].min() == 1  # the given map is left alone


def test_draws_move_image_and_map_alike_and_go_by_seed_number_and_row(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (48, 1))
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png", np.stack([ramp] * 3, axis=-1))
    index = FaceIndex.of([Face("a.png", 1), Face("b.png", 1)], tmp_path)
    maps = {key: ramp.astype(np.float32) / 255 for key in index.keys}
    augmentation = Augmentation(smallest_crop=0.5)

    def draw(row: int, number: int, seed: int = 0) -> Sample:
        found = FaceDataset(index, 48, maps, augmentation, seed)[Draw(row, number)]
        assert isinstance(found, Sample)
        return found

    mirrored = []
    for number in range(12):
        sample = draw(0, number)
        image, values = sample.image[0, 24].numpy() / 255, sample.map[0, 24].numpy()
        assert np.abs(image - values)[2:-2].max() < 0.04
        mirrored.append(bool(values[0] > values[-1]))
        assert np.array_equal(sample.image, draw(0, number).image)
    assert 2 <= sum(mirrored) <= 10
    images = [draw(0, 0), draw(0, 1), draw(1, 0), draw(0, 0, seed=1)]
    assert len({one.image.numpy().tobytes() for one in images}) == 4
    plain = FaceDataset(index, 48, maps, augmentation)[0]
    assert np.array_equal(pixels(plain)[..., 0], ramp)  # a row is not augmented


def test_a_crop_is_decoded_as_fine_as_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(root: Path, path: str, box: str, smallest: int | None, change: None) -> np.ndarray:
        asked.append(smallest)
        return noise(0, 64, 64)

    monkeypatch.setattr("focus.data.faces.read_face", read)
    index = FaceIndex.of([Face("a.jpg", 0)], tmp_path)
    augmentation = Augmentation(smallest_crop=0.1)
    sides = [augmentation.draw(np.random.default_rng((7, n, 0))).side for n in range(5)]
    faces = FaceDataset(index, 32, augmentation=augmentation, seed=7)
    for number in range(5):
        faces[Draw(0, number)]
    assert asked == [round(32 / side) for side in sides]
    faces[0]
    FaceDataset(index, 0)[0]
    FaceDataset(index, 32, companion="mask")[0]  # whose mask is as large as the whole image
    assert asked[5:] == [32, None, None]


def test_size_zero_keeps_the_shorter_side(tmp_path: Path) -> None:
    save(tmp_path / "a.png", noise(0, 20, 30))
    sample = FaceDataset(FaceIndex.of([Face("a.png")], tmp_path), 0)[0]
    assert pixels(sample).shape == (20, 20, 3)


def test_perturb_sees_the_whole_image_and_its_key(tmp_path: Path) -> None:
    image = save(tmp_path / "p.png", noise(4))
    seen = []

    def perturb(image: np.ndarray, key: str) -> np.ndarray:
        seen.append((image.shape, key))
        return 255 - image

    faces = [Face("p.png"), Face("p.png#0.3", extra={"box": "4 4 12 12"})]
    data = FaceDataset(FaceIndex.of(faces, tmp_path), 8, perturb=perturb)
    assert np.array_equal(pixels(data[1]), 255 - image[4:12, 4:12])
    data[0]
    assert seen == [((24, 24, 3), "p.png#0"), ((24, 24, 3), "p.png")]


def test_what_cannot_be_read_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    index = FaceIndex.of([Face("gone.png", 1), Face("gone.png#0.1", 1)], tmp_path)
    assert FaceDataset(index, 8)[0] == Failure(0, "gone.png", "no such file or directory")
    assert FaceDataset(index, 8)[Draw(1, 5)].key == "gone.png#0.1"


def test_rows_that_are_whole_videos_are_refused_with_the_way_out(tmp_path: Path) -> None:
    index = FaceIndex.of([Face("a.png"), Face("b.MP4")], tmp_path)
    with pytest.raises(InputError, match=r"b\.MP4: this row is a whole video.*focus prepare"):
        FaceDataset(index, 8)
    FaceDataset(FaceIndex.of([Face("b.mp4#0")], tmp_path), 8)


def test_truth_masks_as_maps_hold_the_share_of_a_cell(tmp_path: Path) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :2] = 255
    save(tmp_path / "m.png", mask)
    faces = [
        Face("real.png", 0, mask="m.png"),
        Face("fake.png", 1, mask="m.png"),
        Face("bare.png", 1),
        Face("unknown.png", -1, mask="m.png"),
        Face("real2.png", 0),
        Face("lost.png", 1, mask="lost.png"),
    ]
    maps = TruthMaps(FaceIndex.of(faces, tmp_path), side=2)
    assert [face.key in maps for face in faces] == [True, True, False, True, True, True]
    assert "stranger.png" not in maps
    assert maps["fake.png"].tolist() == [[0.5, 0], [0, 0]]
    assert maps["unknown.png"].tolist() == [[0.5, 0], [0, 0]]
    for real in ("real.png", "real2.png"):
        assert maps[real].tolist() == [[0, 0], [0, 0]]
        assert maps[real].dtype == np.float32
    for key in ("bare.png", "stranger.png"):
        with pytest.raises(KeyError):
            maps[key]
    with pytest.raises(UnreadableError):
        maps["lost.png"]
    assert TruthMaps(FaceIndex.of(faces, tmp_path))["fake.png"].shape == (56, 56)
