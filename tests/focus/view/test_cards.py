from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from focus.data.index import Face, FaceIndex
from focus.mapstore import MapReader, MapWriter
from focus.view.cards import Collection, describe_place, pixel_auc, read_card, shrink
from focus.view.overlay import resize_map
from tests.focus.making import write_clip


@pytest.mark.parametrize("levels", [3, 256])
def test_pixel_auc_agrees_with_scikit_learn(levels):
    rng = np.random.default_rng(levels)
    face_map = (rng.integers(0, levels, (6, 6)) / (levels - 1)).astype(np.float32)
    mask = rng.random((30, 40)) < 0.2
    expected = roc_auc_score(mask.ravel(), resize_map(face_map, (30, 40)).ravel())
    assert pixel_auc(face_map, mask) == pytest.approx(expected, abs=1e-9)


def test_pixel_auc_counts_ties_half():
    assert pixel_auc(np.zeros((2, 2), np.float32), np.eye(4, dtype=bool)) == 0.5


@pytest.mark.parametrize("value", [False, True])
def test_pixel_auc_needs_both_classes(value):
    assert math.isnan(pixel_auc(np.ones((2, 2), np.float32), np.full((4, 4), value)))


def test_shrink_averages_and_never_enlarges():
    plane = np.kron(np.eye(4, dtype=np.float32), np.ones((2, 2), np.float32))
    assert np.allclose(shrink(plane, 4), np.eye(4))
    assert shrink(plane, 8) is plane
    assert shrink(np.zeros((10, 20, 3), np.uint8), 10).shape == (5, 10, 3)


@pytest.fixture
def collection(tmp_path):
    cv2.imwrite(str(tmp_path / "fake.png"), np.full((32, 32, 3), (30, 20, 10), np.uint8))
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    faces = [Face("fake.png", 1, mask="mask.png"), Face("broken.png", 1, mask="gone.png")]
    maps = np.zeros((2, 4, 4), np.float32)
    maps[:, :2] = 1
    with MapWriter(tmp_path / "maps.h5", generator="test") as writer:
        writer.append(["fake.png", "broken.png"], maps, [1, 1], [0.75, 0.5])
    reader = MapReader(tmp_path / "maps.h5")
    return Collection(FaceIndex.of(faces, tmp_path), {"test": reader})


def test_a_card_contains_the_content_of_the_files(collection):
    card = next(collection.cards(quiet=True))
    assert card.image is not None
    assert card.image[0, 0].tolist() == [10, 20, 30]
    assert card.score == 0.75
    assert card.pixel_aucs[0] == 1.0
    assert card.fault == ""


def test_a_card_names_every_file_that_cannot_be_read(collection):
    card = read_card(collection.index, 1, list(collection.readers.values()))
    assert card.image is None
    assert card.mask is None
    assert "; mask: " in card.fault
    assert math.isnan(card.pixel_aucs[0])


def test_what_lies_beyond_the_edge_of_the_image_is_not_marked_and_does_not_count(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    for name in ("a.png", "mask.png"):
        cv2.imwrite(str(tmp_path / name), mask)
    face = Face("a.png", 1, mask="mask.png", extra={"padded": "0 0.5 1 1"})
    plane = np.tile(np.linspace(1, 0, 8, dtype=np.float32), (8, 1))
    plane[:4] = 1 - plane[:4]  # wrong, but beyond the edge
    with MapWriter(tmp_path / "maps.h5") as writer:
        writer.append(["a.png"], plane[None])
    card = read_card(FaceIndex.of([face], tmp_path), 0, [MapReader(tmp_path / "maps.h5")])
    assert not card.maps[0][:4].any()
    assert card.maps[0][4:].any()
    assert not card.mask[:4].any()
    assert card.pixel_aucs == (1.0,)


def test_maps_are_pasted_back_onto_the_image_that_the_face_was_cut_from(tmp_path):
    (tmp_path / "videos").mkdir()
    photograph = np.full((40, 60, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "videos" / "photo.png"), photograph)
    cv2.imwrite(str(tmp_path / "crop.png"), photograph[10:30, 20:40])
    cut = {"source": "photo.png", "frame": "0", "box": "20 10 40 30"}
    faces = [
        Face("crop.png", 1, extra=cut),
        Face("videos/photo.png#0.0", 1, extra={"box": "20 10 40 30"}),
        Face("crop.png.copy.png", 1),
    ]
    cv2.imwrite(str(tmp_path / "crop.png.copy.png"), photograph[10:30, 20:40])
    index = FaceIndex.of(faces, tmp_path)
    with MapWriter(tmp_path / "maps.h5") as writer:
        writer.append(list(index.keys), np.ones((3, 4, 4), np.float32))
    readers = [MapReader(tmp_path / "maps.h5")]
    for row in (0, 1):
        card = read_card(index, row, readers, tmp_path / "videos")
        assert card.image is not None
        assert card.image.shape == (40, 60, 3)
        expected = np.zeros((40, 60))
        expected[10:30, 20:40] = 1
        assert np.array_equal(card.maps[0], expected)
    alone = read_card(index, 2, readers, tmp_path / "videos")
    assert alone.image is not None
    assert alone.image.shape == (20, 20, 3)


def test_a_frame_has_its_file_number_and_time(tmp_path):
    write_clip(tmp_path / "clip.mp4")  # 12 frames a second
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    prepared = {"source": "clip.mp4", "frame": "3"}
    places = {
        "clip.mp4#9.1": "clip.mp4, frame 9 (0:00.8)",
        "gone.mp4#9": "gone.mp4, frame 9",
        "broken.mp4#9": "broken.mp4, frame 9",
        "photo.jpg#0.1": "",
        "photo.jpg": "",
    }
    for path, expected in places.items():
        assert describe_place(tmp_path, Face(path), None) == expected
    face = Face("crop.png", extra=prepared)
    assert describe_place(tmp_path, face, tmp_path) == "clip.mp4, frame 3 (0:00.2)"
    assert describe_place(tmp_path, face, None) == "clip.mp4, frame 3"
