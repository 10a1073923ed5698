"""Results against published numbers."""

from __future__ import annotations

import json

import pytest

from evaluator.protocols import (
    PROTOCOLS,
    compare,
    format_comparison,
    plan,
)
from evaluator.protocols.comparing import read_results
from focus.errors import InputError


def test_comparison_by_hand():
    table = PROTOCOLS["monfap-table-3"]
    row = next(row for row in table.rows if row.label == "MoNFAP-C")

    def tests(value):
        metrics = {"frame_auc": {"value": value, "low": value - 0.02, "high": value + 0.04}}
        return {"tests": {"manualfake": {"metrics": metrics}}}

    settings = {column.train.name: table.setting(row, column) for column in table.columns[:8]}
    results = {settings["ffiw"].name: tests(0.70), settings["ofv2"].name: tests(0.50)}
    cells = {(cell.row, cell.column): cell for cell in compare(table, results)}
    first = cells["MoNFAP-C", "FFIW AUC"]
    assert (first.published, first.ours) == (66.94, pytest.approx(70))
    assert first.difference == pytest.approx(3.06)
    assert first.doubt == pytest.approx(3)
    assert cells["MoNFAP-C", "Average AUC"].ours == pytest.approx(60)
    assert cells["MoNFAP-C", "FFIW ACC"].ours is None
    assert cells["MoNFAP-R", "FFIW AUC"].ours is None
    text = format_comparison(list(cells.values()))
    assert max(map(len, text.splitlines())) <= 100
    assert "+3.06" in text


def test_results_are_read_from_every_format(tmp_path):
    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def value(number):
        return {"value": number, "low": None, "high": None}

    todo = plan(PROTOCOLS["focus-table-4"], tmp_path, tmp_path)
    kinds = ("saturation", "contrast", "block-crop", "noise", "blur", "pixel", "compress")
    means = {k: {"mean": {"frame_auc": value(n / 10)}} for n, k in enumerate(kinds, 1)}
    path = tmp_path / "results/focus-ffpp4-raw/robustness-ffpp4-raw/robustness.json"
    write(path, {"clean": {"frame_auc": value(0.99)}, "kinds": means})
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["FoCus", "Clean"] == pytest.approx(99)
    assert rows["FoCus", "Block"] == pytest.approx(30)
    assert rows["FoCus", "Avg"] == pytest.approx(40)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a valid result"):
        read_results(todo)

    todo = plan(PROTOCOLS["monfap-table-4"], tmp_path, tmp_path)
    write(
        tmp_path / "results/monfap-truth-ofv2/ofv2-mix.json",
        {"metrics": {"iou_fake": value(0.5)}},
    )
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["MoNFAP-C", "OFV2 IoU-f"] == pytest.approx(50)

    todo = plan(PROTOCOLS["focus-table-8"], tmp_path, tmp_path)
    write(tmp_path / "results/gffd/cost.json", {"parameters": 53_300_000, "macs": 14e9, "x": 1})
    rows = {(c.row, c.column): c.ours for c in compare(todo.protocol, read_results(todo))}
    assert rows["GFFD", "GMACs"] == pytest.approx(14)
    assert rows["GFFD", "parameters, M"] == pytest.approx(53.3)
