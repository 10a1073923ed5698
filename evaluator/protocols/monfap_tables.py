"""Tables II to IV of MoNFAP, on whole images with several faces.

ACC is ``frame_acc``, AUC is ``frame_auc``. F1-f and IoU-f are of the fake class, from one matrix
over the fake images: ``f1_fake`` and ``iou_fake``.
"""

from __future__ import annotations

from dataclasses import replace

from evaluator.protocols.records import (
    NO_MAPS,
    OTHERS,
    TRUTH,
    Column,
    Faces,
    Protocol,
    Row,
    numbers,
)

PAPER = (
    "Mixture-of-Noises Enhanced Forgery-Aware Predictor for Multi-Face Manipulation Detection and "
    "Localization"
)
OFV2 = Faces("ofv2", "monfap", part="Pixel_OpenForensics")
FFIW = Faces("ffiw", "monfap", part="Pixel_FFIW10K")
MANUAL_FAKE = Faces("manualfake", "manualfake")

METRICS = (
    Column("ACC", "frame_acc"),
    Column("AUC", "frame_auc"),
    Column("F1-f", "f1_fake"),
    Column("IoU-f", "iou_fake"),
)
C, R = "MoNFAP-C", "MoNFAP-R"
NOTES = (
    OTHERS,
    "the authors select by IoU of the fake class on val; here by frame AUC on val",
    "MoNFAP-R: details of its ResNet-50 are not published; ours projects its stages first",
)


TRAINED: dict[str, tuple[str, tuple[str, ...]]] = {
    "ManTra-Net": ("benco-mantranet", ()),
    "HPFCN": ("hpfcn", ()),
    "MVSS": ("mvss", ()),
    "CATNet": ("catnet", ()),
    C: ("monfap", ()),
    R: ("monfap", ("backbone=resnet50",)),
}
"""Detectors of these rows and their options, trained with masks where they are installed."""


def _rows(printed: dict[str, str]) -> tuple[Row, ...]:
    """Return rows of printed numbers; those of our detectors are trained with masks."""
    rows = []
    for label, text in printed.items():
        detector, options = TRAINED.get(label, ("", ()))
        maps = TRUTH if detector else NO_MAPS
        rows.append(Row(label, numbers(text), detector, maps, options=options))
    return tuple(rows)


def _columns(*groups: tuple[str, Faces], test: Faces | None = None) -> tuple[Column, ...]:
    return tuple(
        replace(column, title=f"{title} {column.title}", train=train, test=test)
        for title, train in groups
        for column in METRICS
    )


def _averages(*groups: str) -> tuple[Column, ...]:
    return tuple(
        replace(
            column,
            title=f"Average {column.title}",
            average_of=tuple(f"{group} {column.title}" for group in groups),
        )
        for column in METRICS
    )


TABLE_2 = Protocol(
    "monfap-table-2",
    "detection and localisation on OFV2 and FFIW",
    f"Table II of {PAPER}",
    _columns(("OFV2", OFV2), ("FFIW", FFIW)),
    _rows(
        {
            "ManTra-Net": "77.60 98.48 83.69 71.96 59.12 78.73 72.70 57.11",
            "HPFCN": "93.87 99.47 84.10 72.56 79.67 88.15 85.81 75.15",
            "MVSS": "94.80 98.71 82.44 70.12 84.33 92.65 88.24 78.95",
            "CATNet": "95.58 99.89 90.83 83.19 88.58 98.85 87.86 78.35",
            "DOAGAN": "89.17 97.97 84.51 73.17 82.91 94.37 87.44 77.68",
            "HiFiNet": "94.01 99.76 85.62 74.85 91.32 98.56 85.22 74.24",
            C: "99.10 99.91 94.82 90.15 92.15 98.03 90.80 83.15",
            R: "95.54 99.71 94.85 90.20 92.86 98.27 91.62 84.54",
        }
    ),
    notes=NOTES,
)

TABLE_3 = Protocol(
    "monfap-table-3",
    "trained on FFIW or OFV2, tested on Manual-Fake",
    f"Table III of {PAPER}",
    (
        *_columns(("FFIW", FFIW), ("OFV2", OFV2), test=MANUAL_FAKE),
        *_averages("FFIW", "OFV2"),
    ),
    _rows(
        {
            "ManTra-Net": "? ? ? ? ? ? ? ? ? ? ? ?",
            "HPFCN": "? ? ? ? ? ? ? ? ? ? ? ?",
            "MVSS": "54.95 57.44 27.59 16.00 50.76 49.72 2.83 1.43 52.86 53.58 15.21 8.72",
            "CATNet": "60.59 73.92 33.25 19.94 50.83 46.33 0.70 0.35 55.71 60.13 16.98 10.15",
            "DOAGAN": "52.28 55.86 26.29 15.13 50.51 48.02 0.42 0.21 51.40 51.94 13.36 7.67",
            "HiFiNet": "60.37 73.37 27.50 15.94 38.59 34.94 1.12 0.56 49.48 54.16 14.31 8.25",
            C: "58.91 66.94 30.16 17.75 51.67 53.42 1.79 0.91 55.29 60.18 15.98 9.33",
            R: "60.70 67.88 33.91 20.41 53.42 55.27 3.17 1.61 57.06 61.58 18.54 11.01",
        }
    ),
    notes=(
        "ManTra-Net and HPFCN: their numbers are out of order in the extracted text, so omitted",
        *NOTES,
    ),
)

TABLE_4 = Protocol(
    "monfap-table-4",
    "tested on corrupted test images of FFIW and OFV2",
    f"Table IV of {PAPER}",
    (
        *(replace(c, kind="mix") for c in _columns(("FFIW", FFIW), ("OFV2", OFV2))),
        *_averages("FFIW", "OFV2"),
    ),
    _rows(
        {
            "ManTra-Net": "57.40 70.70 58.87 41.71 74.63 91.29 62.97 45.95 66.02 81.00 60.92 43.83",
            "HPFCN": "64.54 68.73 56.96 39.82 77.03 84.83 52.94 36.00 70.79 76.78 54.95 37.91",
            "MVSS": "73.20 79.59 72.63 57.02 77.45 84.61 38.61 23.93 75.33 82.10 55.62 40.48",
            "CATNet": "69.53 78.43 63.22 46.22 68.84 86.12 62.38 45.33 69.19 82.28 62.80 45.78",
            "DOAGAN": "72.78 83.87 67.69 51.17 73.51 92.17 64.33 47.42 73.15 88.02 66.01 49.30",
            "HiFiNet": "70.18 76.36 65.43 48.62 56.49 79.89 61.51 44.42 63.34 78.10 63.47 46.52",
            C: "72.77 82.59 78.20 64.20 81.53 91.16 80.22 66.97 77.15 86.88 79.21 65.59",
            R: "72.85 81.60 77.49 63.25 77.10 88.43 75.01 60.01 74.98 85.02 76.25 61.63",
        }
    ),
    notes=(
        "the corrupted images are not published; mix samples like OpenForensics' first level",
        *NOTES,
    ),
)

TABLES = (TABLE_2, TABLE_3, TABLE_4)
