"""Plans: missing corpora, a dry run, known corpora."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.protocols import (
    PROTOCOLS,
    format_plan,
    plan,
    run_protocol,
)
from focus.data.corpus import CORPORA
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


def test_a_plan_says_which_rows_are_only_quoted():
    text = " ".join(format_plan(plan(PROTOCOLS["msccnet-table-3"], NOWHERE, Path("out"))).split())
    quoted = text.partition("only quoted: ")[2].partition("; all other rows are trained here")[0]
    assert "SLADD" in quoted
    assert "Multi-task" not in quoted
    assert "MSCCNet" not in quoted
    assert "only quoted" not in format_plan(plan(PROTOCOLS["focus-table-2"], NOWHERE, Path("out")))


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
