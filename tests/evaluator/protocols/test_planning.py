"""Plans: missing corpora, a dry run, known corpora."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.protocols import (
    PROTOCOLS,
    compare,
    format_comparison,
    format_plan,
    plan,
    run_protocol,
)
from evaluator.protocols.comparing import read_results
from focus.data.corpus import CORPORA
from focus.detectors import DETECTORS
from focus.errors import InputError
from tests.evaluator.protocols.making import NOWHERE


def test_a_plan_lists_missing_corpora_and_a_partial_one_skips_them(tmp_path):
    for name in ("msccnet", "wdf", "ffpp"):
        (tmp_path / name).mkdir()
    table = PROTOCOLS["focus-table-2"]
    text = format_plan(plan(table, tmp_path, tmp_path / "out"))
    assert "Celeb-DF v2: no folder" in text
    assert "WildDeepfake: no folder" not in text
    todo = plan(table, tmp_path, tmp_path / "out", partial=True)
    tests = [step.words for step in todo.steps if step.words[1] == "run"]
    assert len(tests) == 14
    assert not any("cdf=" in word for words in tests for word in words)
    assert not plan(PROTOCOLS["monfap-table-2"], tmp_path, tmp_path, partial=True).steps


def notes(table, **settings):
    """Return the notes of a plan in one line."""
    return " ".join(format_plan(plan(table, NOWHERE, Path("out"), **settings)).split())


def test_a_plan_says_which_rows_are_trained_and_which_are_quoted():
    text = notes(PROTOCOLS["msccnet-table-3"])
    trained = text.partition("trained here: ")[2].partition(" - ")[0].split("; ")
    quoted = text.partition("only quoted: ")[2].partition(" - ")[0].split("; ")
    assert {"Multi-task", "MSCCNet (ours)"} <= set(trained)
    assert "HiFi-Net" in quoted
    assert "from predictions" not in text
    assert set(trained) | set(quoted) == {row.label for row in PROTOCOLS["msccnet-table-3"].rows}
    assert "trained here: all rows" in notes(PROTOCOLS["focus-table-2"])


def test_a_row_is_trained_once_its_detector_is_installed():
    table = PROTOCOLS["monfap-table-2"]
    table = replace(table, rows=tuple(replace(r, detector="newcomer") for r in table.rows[:2]))
    text = notes(table)
    assert "only quoted: all rows" in text
    assert "ManTra-Net: detector newcomer is not installed" in text
    with DETECTORS.temporarily("newcomer", DETECTORS.get("probe")):
        text = notes(table)
    assert "trained here: all rows" in text
    assert "--model newcomer" in text


def test_predictions_of_a_row_are_judged_and_compared(tmp_path):
    given = tmp_path / "given" / "HiFi-Net" / "pffpp-c40" / "defacto.csv"
    given.parent.mkdir(parents=True)
    given.touch()
    (given.parents[2] / "FFD").mkdir()
    table = PROTOCOLS["msccnet-table-3"]
    todo = plan(table, NOWHERE, tmp_path / "out", predictions=tmp_path / "given")
    text = " ".join(format_plan(todo).split())
    assert "from predictions: FFD; HiFi-Net" in text
    assert f"predictions: {given.parents[2] / 'FFD' / 'pffpp-c40' / 'defacto.csv'}" in text
    (step,) = [step for step in todo.steps if step.words[1] == "judge"]
    assert step.options.predictions == given
    assert step.options.source.data == str(tmp_path / "out" / "lists" / "defacto-test.csv")
    step.output.parent.mkdir(parents=True)
    metrics = {"frame_auc": {"value": 0.75}}
    step.output.write_text(json.dumps({"tests": {"test": {"metrics": metrics}}}))
    shown = format_comparison(compare(todo.protocol, read_results(todo)))
    (ours,) = [line for line in shown.splitlines() if " ours " in line]
    assert "75.00" in ours


def test_dry_run_only_prints(tmp_path, capsys):
    run_protocol("monfap-table-4", tmp_path, tmp_path / "out", dry_run=True)
    out = capsys.readouterr().out
    assert "--options backbone=resnet50" in out
    assert "--corruptions mix" in out
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no step of monfap-table-4 can be run"):
        run_protocol("monfap-table-4", tmp_path, tmp_path / "out")


def test_corpora_of_all_tables_exist():
    names = {
        faces.corpus
        for table in PROTOCOLS.values()
        for faces, _ in plan(table, NOWHERE, Path("out")).places
    }
    assert names <= set(CORPORA.names())
