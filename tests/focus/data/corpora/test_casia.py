from __future__ import annotations

import pytest

from focus.data.corpora.casia import CORPUS, CORPUS_V2
from focus.data.corpus import ScanOptions
from focus.errors import InputError

UNMASKED = "Sp_D_NRN_A_cha0011_sec0011_0542"
V1 = (
    "Au/Au_ani_0001.jpg",
    "Tp/Sp/old_name.jpg",
    "Modified Tp/Tp/CM/Sp_S_CNN_A_art0001_0002.jpg",
    f"Modified Tp/Tp/Sp/{UNMASKED}.jpg",
    "Modified Tp/Tp/Sp/Sp_D_NRN_A_zzz0001_0700.jpg",
    "CASIA 1.0 groundtruth/CM/Sp_S_CNN_A_art0001_0002_gt.png",
    "CASIA 1.0 groundtruth/Sp/Sp_D_NRN_A_zzz0001_0700_gt.png",
)


def test_v1_pairs_by_name_where_order_would_shift(plant):
    index = CORPUS.scan(plant(*V1), ScanOptions())
    truth = "CASIA 1.0 groundtruth"
    assert [(face.path, face.label, face.split, face.method, face.mask) for face in index] == [
        ("Au/Au_ani_0001.jpg", 0, "test", "", ""),
        (V1[2], 1, "test", "copymove", f"{truth}/CM/Sp_S_CNN_A_art0001_0002_gt.png"),
        (V1[3], 1, "test", "splicing", ""),
        (V1[4], 1, "test", "splicing", f"{truth}/Sp/Sp_D_NRN_A_zzz0001_0700_gt.png"),
    ]
    unmasked = [face.path for face in index if face.label == 1 and not face.mask]
    assert [path.endswith(tuple(CORPUS.known_faults)) for path in unmasked] == [True]


def test_v2_rows(plant):
    root = plant(
        "Au/Au_ani_0001.jpg",
        "Tp/Tp_D_NRN_S_N_ani10171_ani00001_12458.jpg",
        "Tp/Tp_S_NRN_S_N_art10114_art10114_11110.tif",
        "CASIA 2 Groundtruth/Tp_D_NRN_S_N_ani10171_ani00001_12458_gt.png",
        "CASIA 2 Groundtruth/Tp_S_NRN_S_N_art10114_art10114_11110_gt.png",
    )
    (root / "Tp/Thumbs.db").write_bytes(b"")
    index = CORPUS_V2.scan(root, ScanOptions(methods=("copymove",)))
    assert [(face.path, face.label, face.split, face.mask) for face in index] == [
        ("Au/Au_ani_0001.jpg", 0, "train", ""),
        (
            "Tp/Tp_S_NRN_S_N_art10114_art10114_11110.tif",
            1,
            "train",
            "CASIA 2 Groundtruth/Tp_S_NRN_S_N_art10114_art10114_11110_gt.png",
        ),
    ]


@pytest.mark.parametrize("folders", ["Au Tp Gt", "au tp GT", "CASIA2/Au CASIA2/Tp Gt"])
def test_folders_by_their_other_names(plant, folders):
    authentic, tampered, masks = folders.split()
    plant(f"{authentic}/a.jpg", f"{tampered}/Tp_D_1.jpg", f"{masks}/Tp_D_1.png")
    index = CORPUS_V2.scan(plant(), ScanOptions())
    assert list(index.labels) == [0, 1]
    assert index[1].mask == f"{masks}/Tp_D_1.png"


def test_a_mask_without_an_image_is_reported(plant, capsys):
    CORPUS.scan(plant(*V1, "CASIA 1.0 groundtruth/Sp/zz_gt.png"), ScanOptions())
    assert "1 mask (Sp/zz_gt.png) without an image in Modified Tp" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("real/a.jpg",), "not CASIA: no folder Au .authentic. or Tp"),
        (("Tp/photo.jpg",), "photo.jpg is not in a folder CM or Sp"),
        (("Tp/Tp_D_1.jpg", "Gt/Tp_D_1.png", "Gt/Tp_D_1_gt.png"), "both named like its mask"),
        (("Tp/Tp_D_1.jpg", "Gt/a/Tp_D_1.png", "Gt/b/Tp_D_1.png"), "both named like its mask"),
        (("Tp/Tp_D_1.jpg", "Gt/other.png"), "no mask is named like an image in Tp: other.png"),
    ],
)
def test_faults(plant, names, message):
    with pytest.raises(InputError, match=message):
        CORPUS_V2.scan(plant(*names), ScanOptions())


def test_published_counts():
    for corpus in (CORPUS, CORPUS_V2):
        assert corpus.published[""] == corpus.published["real"] + corpus.published["fake"]
