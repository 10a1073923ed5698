from __future__ import annotations

import cv2
import numpy as np
import pytest

from focus.data.corpora.columbia import CORPUS, write_masks
from focus.data.corpus import ScanOptions
from focus.data.images import read_mask
from focus.errors import InputError

EDGES = "4cam_splc/edgemask/c_sub_01_edgemask.jpg"


@pytest.fixture
def root(plant):
    root = plant("4cam_auth/a_sub_01.tif", "4cam_splc/c_sub_01.tif", "4cam_splc/d.tif", EDGES)
    plant("4cam_auth/edgemask/a_sub_01_edgemask.jpg")
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32], image[:, 32:48] = (0, 200, 0), (0, 255, 0)  # BGR
    image[:, 48:64], image[:, 64:] = (0, 0, 255), (0, 0, 200)
    cv2.imwrite(str(root / EDGES), image)
    return root


def test_rows(root):
    index = CORPUS.scan(root, ScanOptions())
    assert [(face.path, face.label, face.split, face.method, face.mask) for face in index] == [
        ("4cam_auth/a_sub_01.tif", 0, "test", "", ""),
        ("4cam_splc/c_sub_01.tif", 1, "test", "splicing", ""),
        ("4cam_splc/d.tif", 1, "test", "splicing", ""),
    ]
    assert index.column("edgemask") == ["", EDGES, ""]


def test_colours_become_masks_that_the_next_scan_lists(root):
    assert not read_mask(root / EDGES).any()  # so masks must be written
    assert write_masks(root, root) == 1
    face = CORPUS.scan(root, ScanOptions())[1]
    mask = read_mask(root / face.mask)
    assert mask.shape == (64, 96)
    assert mask[:, :46].all()
    assert not mask[:, 50:].any()


def test_the_folders_may_be_inside_that_of_the_download(plant):
    root = plant("ImSpliceDataset/4cam_splc/c.tif")
    (face,) = CORPUS.scan(root, ScanOptions())
    assert (face.path, face.label) == ("ImSpliceDataset/4cam_splc/c.tif", 1)


def test_faults(plant, root):
    (root / EDGES).write_bytes(b"broken")
    with pytest.raises(InputError, match=r"c_sub_01_edgemask.jpg: not an image"):
        write_masks(root, root)
    with pytest.raises(InputError, match="not Columbia: no folder 4cam_auth or 4cam_splc"):
        CORPUS.scan(root / "4cam_auth", ScanOptions())
