from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from focus.data.corpora.openforensics import CORPUS, CORPUS_V2
from focus.data.corpus import ScanOptions
from focus.data.images import read_face, read_mask
from focus.data.index import SPLITS, FaceIndex
from focus.data.prepare import PrepareCommand, prepare_command
from focus.data.sources import Source
from focus.errors import InputError

CATEGORIES = [{"id": 0, "name": "Real"}, {"id": 1, "name": "Fake"}]


def square(left: float, top: float, side: float) -> list[float]:
    return [left, top, left + side, top, left + side, top + side, left, top + side]


def coco(part: str, *faces: tuple[int, int, float]) -> dict:
    """Return two images of 100 x 120; a face is image, category and left edge of a 20 px square."""
    names = [f"Images/{part}/{name}.jpg" for name in ("a", "b")]
    images = [
        {"id": 7 + number, "file_name": name, "height": 100, "width": 120}
        for number, name in enumerate(names)
    ]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": [left, 40, 20, 20],
            "segmentation": [square(left, 40, 20)],
        }
        for number, (image, category, left) in enumerate(faces)
    ]
    return {"categories": CATEGORIES, "images": images, "annotations": annotations}


@pytest.fixture
def root(plant):
    faces = (7, 0, 10), (8, 0, 30), (7, 1, 32)
    plant("Train_poly.json", text=json.dumps(coco("Train", *faces)))
    challenge = coco("Test-Challenge", (7, 1, 5))
    challenge["images"][0]["file_name"] = "a.jpg"
    return plant("Test-Challenge_poly.json", text=json.dumps(challenge))


def test_one_row_per_face(root):
    index = CORPUS.scan(root, ScanOptions())
    assert [(face.path, face.label, face.split, face.extra["box"]) for face in index] == [
        ("Images/Train/a.jpg#0.0", 0, "train", "7 37 33 63"),  # 26 px, 1.3 times 20
        ("Images/Train/a.jpg#0.1", 1, "train", "29 37 55 63"),
        ("Images/Train/b.jpg#0.0", 0, "train", "27 37 53 63"),
        ("Images/Test-Challenge/a.jpg#0.0", 1, "", "2 37 28 63"),
    ]
    assert [face.video for face in index][:2] == ["Images/Train/a.jpg"] * 2
    assert index.column("part")[-1] == "Test-Challenge"


def test_masks_of_faces_have_the_geometry_of_their_crops(root):
    image = np.zeros((100, 120, 3), np.uint8)
    image[40:60, 32:52] = 255  # the fake face
    (root / "Images/Train").mkdir(parents=True)
    cv2.imwrite(str(root / "Images/Train/a.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert CORPUS.masks(root, root) == 2
    face = CORPUS.scan(root, ScanOptions())[1]
    mask = read_mask(root / face.mask)
    crop = read_face(root, face.path, face.extra["box"])
    np.testing.assert_array_equal(mask, crop.mean(2) > 127)
    expected = np.zeros((26, 26), bool)
    expected[3:23, 3:23] = True
    np.testing.assert_array_equal(mask, expected)
    assert CORPUS.scan(root, ScanOptions())[0].mask == ""


def test_one_row_per_image(root):
    index = CORPUS_V2.scan(root, ScanOptions())
    assert [(face.path, face.label, face.split) for face in index] == [
        ("Images/Train/a.jpg", 1, "train"),  # one fake face among its two
        ("Images/Train/b.jpg", 0, "train"),
    ]
    assert CORPUS_V2.masks(root, root) == 1
    mask = read_mask(root / CORPUS_V2.scan(root, ScanOptions())[0].mask)
    assert mask.shape == (100, 120)
    assert mask[40:60, 32:52].all()
    assert mask.sum() == 400  # the real neighbour is not in it


def test_the_lists_of_monfap_take_precedence(plant, root):
    plant("Pixel_OpenForensics/valid.txt", text="Image/Val/x.jpg 1\nImage/Val/y.jpg 0\n")
    index = CORPUS_V2.scan(root, ScanOptions())
    assert [(face.path, face.label, face.split, face.mask) for face in index] == [
        (
            "Pixel_OpenForensics/Image/Val/x.jpg",
            1,
            "val",
            "Pixel_OpenForensics/Mask/Val/x.png",
        ),
        ("Pixel_OpenForensics/Image/Val/y.jpg", 0, "val", ""),
    ]
    assert CORPUS_V2.masks(root, root) == 0


def broken(**changes):
    content = coco("Val", (7, 1, 10))
    content["annotations"][0].update(changes)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(category_id=2), "annotation 1 cannot be read: category 2; OpenForensics has 0"),
        (broken(image_id=99), "annotation 1 refers to image 99, which the file does not list"),
        (broken(bbox=[1, 2, 3]), "annotation 1 cannot be read"),
        (broken(segmentation={"counts": "x"}), "its segmentation is not a list of polygons"),
        (broken(segmentation=[[1, 2, 3]]), "annotation 1 cannot be read"),
        ({**broken(), "annotations": [{}]}, "annotation 1 has no 'category_id'"),
        (
            {**broken(), "categories": [{"id": 0, "name": "Fake"}]},
            "category 1 cannot be read: 0 is 'Fake'; OpenForensics has 0 = Real",
        ),
        ({"images": []}, "Val_poly.json: not a COCO file: must have lists categories, images"),
    ],
)
def test_faults(plant, tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        CORPUS.masks(plant("Val_poly.json", text=json.dumps(content)), tmp_path / "out")


def test_another_folder_is_refused(plant):
    for corpus in (CORPUS, CORPUS_V2):
        with pytest.raises(InputError, match=r"not OpenForensics: none of Train_poly.json"):
            corpus.scan(plant("a.jpg"), ScanOptions())


def test_published_parts_add_up():
    assert sum(CORPUS.published.values()) + 117670 == 334136
    assert sum(CORPUS_V2.published[split] for split in SPLITS) == CORPUS_V2.published[""]


def test_prepare_writes_masks_and_leaves_images_in_place(root, tmp_path, capsys):
    out = tmp_path / "masks-of"
    for name in ("Train/a.jpg", "Train/b.jpg", "Test-Challenge/a.jpg"):
        (root / "Images" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "Images" / name).touch()
    prepare_command(PrepareCommand(source=Source("openforensics", root=str(root)), out=out))
    assert "4 rows of openforensics, 2 masks" in capsys.readouterr().out
    index = FaceIndex.read(out / "index.csv")
    masks = dict(zip(index.labels.tolist(), index.column("mask"), strict=False))
    assert masks[0] == ""
    assert read_mask(out / masks[1]).any()
    assert (out / index.keys[0].partition("#")[0]).parent.resolve() == root / "Images" / "Train"
