"""Estimated hours of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluator.protocols import (
    PROTOCOLS,
    format_plan,
    plan,
)
from evaluator.protocols.effort import training_hours
from tests.evaluator.protocols.making import NOWHERE


def test_hours_by_hand():
    # 67,350 steps of 64 images, 218.6 GMACs each, 2 operations, 3 passes, at 20e12 a second.
    expected = 67_350 * 64 * 218.6e9 * 6 / 20e12 / 3600
    assert training_hours("msccnet") == pytest.approx(expected)
    table = PROTOCOLS["msccnet-table-4"]
    todo = plan(table, NOWHERE, Path("out"))
    each = [training_hours(row.detector) for row in todo.protocol.rows if row.detector]
    assert len(each) > 1
    assert todo.hours == pytest.approx(5 * sum(each))
    assert "This is an estimate" in " ".join(format_plan(todo).split())
