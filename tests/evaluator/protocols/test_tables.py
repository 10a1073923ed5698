"""Tables of papers: published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from evaluator.protocols import (
    PROTOCOLS,
    get_protocol,
)
from focus.errors import InputError
from tests.evaluator.protocols.making import TABLES, printed


def test_every_table_is_registered_and_names_its_source():
    assert list(PROTOCOLS) == TABLES
    for table in PROTOCOLS.values():
        assert table.source.startswith("Table ")
        assert len({row.label for row in table.rows}) == len(table.rows)
        assert len({column.title for column in table.columns}) == len(table.columns)
    with pytest.raises(InputError, match=r"no such table; perhaps focus-table-2\?"):
        get_protocol("focus-tabel-2")


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("focus-table-1", "FoCus", (87.02, 91.01, None, None)),
        ("focus-table-2", "HQ, SSIM", (72.12, 72.38, 65.35, 72.92)),
        ("focus-table-2", "HQ, FoCus", (76.13, 73.31, 68.42, 76.62)),
        ("focus-table-2", "LQ, UIA-ViT", (64.60, 70.26, 65.29, 75.63)),
        ("focus-table-3", "PCL, HQ, FoCus", (95.50, 96.89, 76.77, 72.42, 68.11, 74.22)),
        ("focus-table-3", "CADDM, LQ, FoCus", (90.30, 92.08, 82.92, 79.80, 72.96, 79.86)),
        ("focus-table-6", "FoCus", (87.02, 91.01, 72.02, 72.18, 66.92, 77.80)),
        ("focus-table-8", "FoCus", (None, None, None)),
        ("msccnet-table-3", "MSCCNet (ours)", (85.55, 64.18, 77.96, 65.26)),
        ("telltales-table-2", "Ours", (87.10, 84.84, 99.77, 98.40)),
        ("telltales-table-4", "Ours (QP 23)", (None, 74.54)),
        ("telltales-table-6", "0.1, 0.2, 0.7", (0.8413, 0.9305)),
    ],
)
def test_printed_numbers(name, label, values):
    assert tuple(printed(name, label).values()) == values


def test_focus_columns_differ_in_order():
    assert printed("focus-table-2", "HQ, FoCus")["DFDC"] == 68.42
    assert printed("focus-table-7", "FoCus")["DFDC"] == 72.98
    assert printed("focus-table-7", "FoCus")["WDF"] == 76.02


def test_f1_and_iou_of_one_class_agree_in_every_row_of_monfap():
    # One matrix gives F1 = 2 IoU / (1 + IoU): this detects misread digits.
    checked = 0
    for name in ("monfap-table-2", "monfap-table-3", "monfap-table-4"):
        for row in PROTOCOLS[name].rows:
            cells = printed(name, row.label)
            for title in (t for t in cells if t.endswith("IoU-f") and "Average" not in t):
                iou, f1 = cells[title], cells[title.replace("IoU-f", "F1-f")]
                if iou is not None:
                    assert f1 == pytest.approx(200 * iou / (100 + iou), abs=0.015)
                    checked += 1
    assert checked == 2 * (8 + 6 + 8)


@pytest.mark.parametrize("name", TABLES)
def test_printed_averages_are_means(name):
    table = PROTOCOLS[name]
    odd = []
    for row in table.rows:
        cells = printed(name, row.label)
        for column in (column for column in table.columns if column.average_of):
            values = [cells[title] for title in column.average_of]
            if None not in values and abs(cells[column.title] - np.mean(values)) > 0.06:
                odd.append((row.label, column.title))
    known = [("HPFCN", "Average F1"), ("MVSS", "Average ACC")]  # as printed; see the table's notes
    assert odd == (known if name == "msccnet-table-4" else [])


def test_recall_of_five_classes_averages_too():
    for row in PROTOCOLS["telltales-table-5"].rows:
        assert row.published[5] == pytest.approx(np.mean(row.published[:5]), abs=0.02)
