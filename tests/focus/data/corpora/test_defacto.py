from __future__ import annotations

import pytest

from focus.data.corpora.defacto import CORPUS
from focus.data.corpus import ScanOptions
from focus.data.images import read_mask
from focus.errors import InputError

SWAP = "face_swap_img/img/ann.jpg_IN_bob.jpg.tif"
TREE = (
    "copymove_img/img/0_000071.tif",
    "copymove_annotations/probe_mask/0_000071.jpg",
    "copymove_annotations/donor_mask/0_000071.jpg",
    "splicing_1_img/img/9.tif",
    "splicing_1_annotations/probe_mask/9.jpg",
    "splicing_7_img/img/9.tif",
    "inpainting_img/img/5.tif",
    "inpainting_annotations/probe_mask/5.jpg",
    "inpainting_annotations/inpaint_mask/5.jpg",
    SWAP,
    "face_swap_annotations/probe_mask/ann.jpg_IN_bob.jpg",
    "real/ann.jpg",
    "real/bob.jpg",
)


def test_rows_with_the_changed_region_as_mask_never_the_donor(plant):
    index = CORPUS.scan(plant(*TREE), ScanOptions())
    rows = {face.path: (face.label, face.split, face.method, face.mask) for face in index}
    assert rows == {
        "copymove_img/img/0_000071.tif": (
            1,
            "",
            "copymove",
            "copymove_annotations/probe_mask/0_000071.jpg",
        ),
        "splicing_1_img/img/9.tif": (1, "", "splicing", "splicing_1_annotations/probe_mask/9.jpg"),
        "splicing_7_img/img/9.tif": (1, "", "splicing", ""),
        "inpainting_img/img/5.tif": (
            1,
            "",
            "inpainting",
            "inpainting_annotations/probe_mask/5.jpg",
        ),
        SWAP: (
            1,
            "test",
            "face_swap",
            "face_swap_annotations/probe_mask/ann.jpg_IN_bob.jpg",
        ),
        "real/ann.jpg": (0, "test", "", ""),
        "real/bob.jpg": (0, "test", "", ""),
    }


def test_a_swap_names_its_people_and_shares_the_video_of_the_portrait(plant):
    faces = {face.path: face for face in CORPUS.scan(plant(*TREE), ScanOptions())}
    assert faces[SWAP].extra == {"source": "ann", "target": "bob"}
    assert faces[SWAP].video == faces["real/bob.jpg"].video == "bob"


def test_the_mask_of_a_swap_is_read(plant):
    root = plant(*TREE)
    face = next(face for face in CORPUS.scan(root, ScanOptions()) if face.path == SWAP)
    assert read_mask(root / face.mask).all()  # the sample is light grey


def test_parts_may_be_in_separate_folders(plant):
    root = plant(*(f"defacto-{name.split('_')[0]}/{name}" for name in TREE[:3]))
    (face,) = CORPUS.scan(root, ScanOptions())
    assert face.path == "defacto-copymove/copymove_img/img/0_000071.tif"
    assert face.mask == "defacto-copymove/copymove_annotations/probe_mask/0_000071.jpg"


def test_choosing_a_method_keeps_the_portraits(plant):
    index = CORPUS.scan(plant(*TREE), ScanOptions(methods=("face_swap",)))
    assert sorted(index.keys) == [SWAP, "real/ann.jpg", "real/bob.jpg"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Au/a.jpg",), "not DEFACTO: no folder such as copymove_img"),
        (("holiday_img/img/a.tif",), "holiday_img: not a DEFACTO folder .known: copymove_img"),
        (
            ("face_swap_img/img/ann.tif",),
            "ann.tif: names in the face-swap part must be <a>.jpg_IN_",
        ),
        ((*TREE[:2], "copymove_annotations/probe_mask/0_000071.png"), "both named like its mask"),
        (
            ("copymove_img/img/1.tif", "copymove_annotations/probe_mask/x.jpg"),
            "no mask is named like an image",
        ),
    ],
)
def test_faults(plant, names, message):
    with pytest.raises(InputError, match=message):
        CORPUS.scan(plant(*names), ScanOptions())
