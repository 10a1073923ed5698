"""Tables I to VIII of FoCus.

Frame level throughout: Acc is ``frame_acc``, AUC is ``frame_auc``. Ten frames per video, faces by
RetinaFace. HQ is compression c23, LQ is c40; four methods (no FaceShifter).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from evaluator.protocols.records import (
    CLEAN,
    TRUTH,
    Column,
    Faces,
    Maps,
    Network,
    Protocol,
    Row,
    numbers,
)
from focus.training.options import NetworkOptions

PAPER = (
    "Learning to Discover Forgery Cues for Face Forgery Detection, IEEE TIFS 19 (2024), "
    "arXiv 2409.01030"
)
SEEDS = 3
FOUR = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
HQ = Faces("ffpp4-c23", "ffpp", "c23", FOUR)
LQ = Faces("ffpp4-c40", "ffpp", "c40", FOUR)
RAW = Faces("ffpp4-raw", "ffpp", "raw", FOUR)
CDF, WDF = Faces("cdf", "cdf"), Faces("wdf", "wdf")
DFDC, DFDCP = Faces("dfdc", "dfdc"), Faces("dfdcp", "dfdcp")

FOCUS = Network("focus")
FOCUS_MAPS = Maps("focus", FOCUS)
MAPS = {
    "SSIM": Maps("ssim"),
    "Pixel-wise": Maps("pixel"),
    "Pixel-wise@0.1": Maps("pixel@0.1"),
    "GFFD": Maps("gffd", Network("gffd")),
    "MaDD": Maps("madd", Network("madd")),
    "UIA-ViT": Maps("uiavit", Network("uiavit")),
    "FoCus": FOCUS_MAPS,
}
IN_DATASET = (Column("FF++ Acc", "frame_acc"), Column("FF++ AUC", "frame_auc"))
CROSS = tuple(
    Column(title, "frame_auc", test)
    for title, test in (("CDF", CDF), ("WDF", WDF), ("DFDC", DFDC), ("DFDCp", DFDCP))
)
SUBJECTS = "DFDC: the paper uses videos of one subject only; here the whole test set"
ATTENTION = (
    "GFFD, MaDD and UIA-ViT: the paper does not describe their training; here on the same faces, "
    "with their own recipes"
)
PROBE = "the probe's optimiser, length and map size are not in the paper; see evaluator/probe.py"


def _ablation(label: str, maps: Maps, printed: str, note: str = "") -> Row:
    return Row(label, numbers(printed), "probe", maps, train=LQ, note=note)


TABLE_1 = Protocol(
    "focus-table-1",
    "the probe trained with seven kinds of map, tested on FF++",
    f"Table I of {PAPER}; the table itself is not in the available text",
    tuple(
        replace(column, title=f"{quality} {column.title}", train=train)
        for quality, train in (("LQ", LQ), ("HQ", HQ))
        for column in IN_DATASET
    ),
    tuple(
        Row(
            label,
            numbers("87.02 91.01 ? ?" if label == "FoCus" else "? ? ? ?"),
            "probe",
            maps,
            note="LQ as printed in Tables V and VI" if label == "FoCus" else "",
        )
        for label, maps in MAPS.items()
    ),
    seeds=SEEDS,
    notes=(
        "rows and columns as described in the text, which states that FoCus exceeds the best other "
        "AUC by 1.39 (LQ) and 0.18 (HQ), and the best other Acc in both",
        ATTENTION,
        PROBE,
    ),
)

_TABLE_2 = {
    "HQ": (
        HQ,
        """72.12 72.38 65.35 72.92
        69.71 71.59 66.06 69.37
        69.47 69.29 67.64 70.31
        68.37 69.17 64.15 67.94
        68.07 68.16 61.95 70.82
        66.73 71.04 67.16 73.56
        76.13 73.31 68.42 76.62""",
    ),
    "LQ": (
        LQ,
        """68.79 68.95 64.71 71.59
        70.22 66.94 63.76 70.21
        70.55 68.35 64.80 72.98
        71.03 69.31 62.07 70.81
        70.27 68.04 61.94 69.17
        64.60 70.26 65.29 75.63
        72.02 72.18 66.92 77.80""",
    ),
}
TABLE_2 = Protocol(
    "focus-table-2",
    "the probe trained with seven kinds of map, tested on other corpora",
    f"Table II of {PAPER}",
    CROSS,
    tuple(
        Row(f"{quality}, {label}", numbers(printed), "probe", maps, train=train)
        for quality, (train, lines) in _TABLE_2.items()
        for (label, maps), printed in zip(MAPS.items(), lines.splitlines(), strict=True)
    ),
    seeds=SEEDS,
    notes=(SUBJECTS, ATTENTION, PROBE),
)

_TABLE_3 = (
    ("PCL", "pcl", "HQ", "SSIM", "94.21 96.23 78.46 67.46 66.75 70.14"),
    ("PCL", "pcl", "HQ", "FoCus", "95.50 96.89 76.77 72.42 68.11 74.22"),
    ("PCL", "pcl", "LQ", "SSIM", "83.70 87.84 73.01 67.90 62.83 69.15"),
    ("PCL", "pcl", "LQ", "FoCus", "84.12 88.02 71.32 71.75 66.79 73.25"),
    ("LTTD", "lttd", "HQ", "Pixel-wise", "97.47 98.61 78.67 73.19 70.90 76.33"),
    ("LTTD", "lttd", "HQ", "FoCus", "97.08 99.12 79.38 76.60 74.95 79.83"),
    ("LTTD", "lttd", "LQ", "Pixel-wise", "89.27 92.65 80.57 73.36 69.27 74.06"),
    ("LTTD", "lttd", "LQ", "FoCus", "89.50 93.19 81.80 76.83 71.84 76.62"),
    ("CADDM", "caddm", "HQ", "SSIM", "94.23 96.12 83.20 78.99 73.27 78.50"),
    ("CADDM", "caddm", "HQ", "FoCus", "94.62 97.17 82.84 80.75 72.81 80.39"),
    ("CADDM", "caddm", "LQ", "SSIM", "88.16 91.23 81.15 78.69 71.81 75.44"),
    ("CADDM", "caddm", "LQ", "FoCus", "90.30 92.08 82.92 79.80 72.96 79.86"),
)
TABLE_3 = Protocol(
    "focus-table-3",
    "PCL, LTTD and CADDM trained with their own maps and those of FoCus",
    f"Table III of {PAPER}",
    (*IN_DATASET, *CROSS),
    tuple(
        Row(
            f"{label}, {quality}, {maps}",
            numbers(printed),
            detector,
            MAPS[maps],
            train={"HQ": HQ, "LQ": LQ}[quality],
        )
        for label, detector, quality, maps, printed in _TABLE_3
    ),
    seeds=SEEDS,
    notes=(
        SUBJECTS,
        "LTTD: a clip has the evenly spread frames of a video, repeated if too few",
        "CADDM: the paper does not name its backbone; here EfficientNet-B4",
    ),
)

_KINDS = (
    ("Clean", CLEAN),
    ("Saturation", "saturation"),
    ("Contrast", "contrast"),
    ("Block", "block-crop"),
    ("Noise", "noise"),
    ("Blur", "blur"),
    ("Pixel", "pixel"),
    ("Compress", "compress"),
)
TABLE_4 = Protocol(
    "focus-table-4",
    "FoCus as a detector on seven corruptions, mean over five levels",
    f"Table IV of {PAPER}",
    (
        *(Column(title, "frame_auc", kind=kind) for title, kind in _KINDS),
        Column("Avg", "frame_auc", average_of=tuple(title for title, _ in _KINDS[1:])),
    ),
    (
        Row("Xception", numbers("99.8 99.3 98.6 99.7 53.8 60.2 74.2 62.1 78.3")),
        Row(
            "Patch-based",
            numbers("99.9 84.3 74.2 99.2 50.0 54.4 56.7 53.4 67.5"),
            "patches",
            train=RAW,
        ),
        Row(
            "Face X-ray",
            numbers("99.8 97.6 88.5 99.1 49.8 63.8 88.6 55.2 77.5"),
            "facexray",
            TRUTH,
            train=RAW,
        ),
        Row("CNN-GRU", numbers("99.8 99.0 98.8 97.9 47.9 71.5 86.5 74.5 82.3")),
        Row(
            "FoCus without Sobel",
            numbers("99.8 99.2 99.0 98.4 60.8 79.0 90.9 66.7 84.8"),
            note="one branch, which our network does not support",
        ),
        Row(
            "FoCus",
            numbers("99.9 99.5 99.2 98.0 76.5 89.2 97.4 68.6 89.8"),
            network=FOCUS,
            train=RAW,
        ),
    ),
    notes=(
        "the training compression is not stated; clean values near 100 suggest raw",
        "corruptions are applied to face crops, with a number of blocks independent of frame size",
    ),
)

_VIEWS = (*IN_DATASET, *CROSS)
_SECOND: tuple[tuple[Literal["rgb", "dct", "srm"], str], ...] = (
    ("rgb", "86.09 89.22 70.68 71.23 63.42 73.64"),
    ("dct", "86.98 90.54 70.66 74.58 64.64 72.47"),
    ("srm", "85.98 88.02 69.67 69.86 64.15 71.40"),
)
TABLE_5 = Protocol(
    "focus-table-5",
    "the probe trained with FoCus maps of other second modalities, FF++ (LQ)",
    f"Table V of {PAPER}",
    _VIEWS,
    (
        Row(
            "RGB",
            numbers("85.77 88.90 71.37 70.51 62.28 73.47"),
            note="one branch, which our network does not support",
        ),
        _ablation("+Sobel", FOCUS_MAPS, "87.02 91.01 72.02 72.18 66.92 77.80"),
        *(
            _ablation(
                f"+{second.upper()}",
                Maps("focus", Network("focus", NetworkOptions(second=second))),
                printed,
            )
            for second, printed in _SECOND
        ),
    ),
    seeds=SEEDS,
    notes=(SUBJECTS, PROBE),
)

TABLE_6 = Protocol(
    "focus-table-6",
    "the probe trained with maps of FoCus without modules, and of CAMs, FF++ (LQ)",
    f"Table VI of {PAPER}",
    _VIEWS,
    (
        _ablation("FoCus", FOCUS_MAPS, "87.02 91.01 72.02 72.18 66.92 77.80"),
        _ablation(
            "-CARP",
            Maps("focus-attention", Network("focus", NetworkOptions(proposal="attention"))),
            "86.59 90.42 70.63 71.02 63.20 70.76",
        ),
        _ablation(
            "-CL",
            Maps("focus-max", Network("focus", NetworkOptions(swap="maximum"))),
            "86.27 89.04 70.14 71.91 64.28 69.28",
        ),
        _ablation(
            "GradCAM",
            Maps("gradcam", Network("classifier")),
            "78.13 81.35 68.44 65.19 64.29 70.04",
        ),
        _ablation(
            "ScoreCAM",
            Maps("scorecam", Network("classifier")),
            "82.95 84.62 68.96 69.04 60.84 68.32",
        ),
    ),
    seeds=SEEDS,
    notes=(SUBJECTS, PROBE),
)

_BY_AUTHORS = "numbers with a dagger, whose legend is not in the available text: {}"
TABLE_7 = Protocol(
    "focus-table-7",
    "FoCus itself as a detector, FF++ (HQ)",
    f"Table VII of {PAPER}",
    (*IN_DATASET, CROSS[0], CROSS[2], CROSS[1], CROSS[3]),
    (
        Row(
            "MADD",
            numbers("96.70 99.29 67.44 62.70 68.03 66.28"),
            network=Network("madd"),
            train=HQ,
            note=_BY_AUTHORS.format("DFDC, WDF"),
        ),
        Row(
            "GFFD",
            numbers("93.64 95.06 75.70 66.31 74.98 73.69"),
            network=Network("gffd"),
            train=HQ,
            note=_BY_AUTHORS.format("all"),
        ),
        Row("DCL", numbers("- 99.30 82.30 - - 76.71")),
        Row(
            "UIA-ViT",
            numbers("96.05 97.98 82.41 72.93 77.98 75.80"),
            network=Network("uiavit"),
            train=HQ,
            note=_BY_AUTHORS.format("FF++, DFDC, WDF"),
        ),
        Row("SFDG", numbers("98.19 99.53 75.83 73.64 69.27 -")),
        Row(
            "FoCus",
            numbers("97.28 99.15 83.17 72.98 76.02 78.01"),
            network=FOCUS,
            train=HQ,
        ),
    ),
    notes=(
        SUBJECTS,
        "the order of the columns differs from Table II: CDF, DFDC, WDF, DFDCp",
        "the network that makes the maps of Tables I to III is tested itself, by its fused head",
    ),
)

TABLE_8 = Protocol(
    "focus-table-8",
    "parameters and arithmetic of FoCus and three detectors with attention maps",
    f"Table VIII of {PAPER}; the table itself is not in the available text",
    (
        Column("GMACs", "macs", scale=1e-9),
        Column("parameters, M", "parameters", scale=1e-6),
        Column("faces/s", "throughput", scale=1.0),
    ),
    tuple(
        Row(label, numbers("? ? ?"), network=Network(kind))
        for label, kind in (
            ("FoCus", "focus"),
            ("MaDD", "madd"),
            ("GFFD", "gffd"),
            ("UIA-ViT", "uiavit"),
        )
    ),
    notes=(
        "the paper lists FLOPs, throughput on a V100 and parameters; throughput here is that of "
        "this machine",
    ),
)

TABLES = (TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6, TABLE_7, TABLE_8)
