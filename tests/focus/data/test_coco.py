"""COCO files: labels by category, masks drawn when they are read."""

import json

import cv2
import numpy as np
import pytest

from focus.data.archives import list_members, read_member
from focus.data.images import read_mask
from focus.data.masks import encode_rle
from focus.data.sources import Source, open_source
from focus.errors import InputError, UnreadableError
from tests.focus.data.planted_files import put

SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]


def write(path, annotations, categories=("Real", "Fake"), change=None):
    content = {
        "images": [
            {"id": k, "file_name": f"images/{k}.png", "height": 8, "width": 8} for k in range(3)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(categories)],
        "annotations": [
            {"image_id": image, "category_id": category, "segmentation": area}
            for image, category, area in annotations
        ],
    }
    path.write_text(json.dumps(content | (change or {})))
    return path


@pytest.fixture
def folder(tmp_path):
    return put(tmp_path, *(f"images/{k}.png" for k in range(3)))


def test_an_image_is_fake_if_an_area_is_and_its_mask_their_union(folder):
    run = np.zeros((8, 8), bool)
    run[7, 3:] = True
    coded = {"size": [8, 8], "counts": encode_rle(run)}
    areas = [(0, 0, [SQUARE]), (1, 0, [SQUARE]), (1, 1, [SQUARE]), (1, 1, coded)]
    path = write(folder / "all.json", areas)
    index = open_source(Source(str(path)))
    assert index.labels.tolist() == [0, 1, 0]
    assert list(index.column("mask")) == ["", "all.json!/1.png", ""]
    mask = np.zeros((8, 8), bool)
    mask[1:5, 2:6] = True
    assert (read_mask(index.root / index[1].mask) == (mask | run)).all()
    assert list_members(path) == ["1.png"]
    plain = {"size": [8, 8], "counts": [8 * 7 + 7, 1]}
    one = open_source(Source(str(write(folder / "one.json", [(2, 0, plain)], ["tampered"]))))
    assert np.argwhere(read_mask(one.root / one[2].mask)).tolist() == [[7, 7]]


def test_images_may_be_elsewhere(folder, tmp_path):
    place = tmp_path / "lists"
    place.mkdir()
    path = write(place / "all.json", [(1, 1, [SQUARE])])
    with pytest.raises(InputError, match=r"none of its 3 images is in .*lists, such as images/0"):
        open_source(Source(str(path)))
    index = open_source(Source(str(path), root=folder))
    assert index[1].mask == "lists/all.json!/1.png"
    assert read_mask(index.root / index[1].mask).sum() == 16
    moved = index.relocated(place)
    assert read_mask(moved.root / moved[1].mask).sum() == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"id": 1, "name": "nose"}]}, "category 'nose': the names must be fake"),
        ({"annotations": [{"image_id": 9, "category_id": 1}]}, "not a COCO file: '9' is missing"),
        ({"annotations": [{"image_id": 1, "category_id": 1}]}, "'segmentation' is missing"),
        ({"images": 3}, "not a COCO file"),
        ({"images": [{"id": 1, "file_name": "a", "height": 1e9, "width": 9}]}, "of 9 x 1000000000"),
    ],
)
def test_faults_are_one_line(folder, changes, message):
    path = write(folder / "all.json", [(1, 1, [SQUARE])], change=changes)
    with pytest.raises(InputError, match=message):
        open_source(Source(str(path)))


@pytest.mark.parametrize(
    "area",
    [[[1, 2, 3]], "text", {"size": [8, 9], "counts": [72]}, {"size": [8, 8], "counts": "x"}, 3],
)
def test_an_area_that_cannot_be_drawn_is_an_unreadable_mask(folder, area):
    path = write(folder / "all.json", [(1, 1, area)])
    assert open_source(Source(str(path))).labels.tolist() == [0, 1, 0]
    with pytest.raises(UnreadableError, match="cannot be drawn"):
        read_member(path, "1.png")
    with pytest.raises(UnreadableError, match="no forged area"):
        read_member(path, "0.png")


def test_masks_equal_pycocotools(folder):
    reference = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    rng = np.random.default_rng(1)
    big = rng.random((8, 8)) < 0.4
    coded = reference.encode(np.asfortranarray(big.astype(np.uint8)))
    coded["counts"] = coded["counts"].decode()
    path = write(folder / "all.json", [(2, 1, coded)])
    pixels = cv2.imdecode(np.frombuffer(read_member(path, "2.png"), np.uint8), 0)
    assert (pixels == big * 255).all()
