"""Steps of every table are commands that parse, and shared steps run once."""

from __future__ import annotations

from pathlib import Path

import pytest

import evaluator.cli
import focus.cli
from evaluator.protocols import (
    PROTOCOLS,
    plan,
)
from focus.commands import parse
from focus.detectors import DETECTORS
from tests.evaluator.protocols.making import NOWHERE, TABLES


@pytest.mark.parametrize("name", TABLES)
def test_every_step_is_a_valid_command(name):
    table = PROTOCOLS[name]
    seen = set()
    todo = plan(table, NOWHERE, Path("out"))
    for step in todo.steps:
        program, word, *rest = step.words
        command = {"focus": focus.cli, "evaluator": evaluator.cli}[program].COMMANDS[word]
        flags = (word, *(w for w in rest if w.startswith("--")))
        if flags not in seen:
            assert parse(word, command, rest) == step.options
            seen.add(flags)
        assert str(step.output).startswith("out/")
    trains = {row.trained for row in todo.protocol.rows} - {""}
    assert trains <= set(DETECTORS.names())
    assert all(DETECTORS.get(name).gmacs > 0 for name in trains)


def test_steps_shared_by_cells_run_once():
    steps = plan(PROTOCOLS["focus-table-2"], NOWHERE, Path("out")).steps
    words = [step.words[1] for step in steps]
    assert words.count("run") == 14
    assert words.count("prepare") == 2 + 3  # FF++ in two qualities; WildDeepfake comes as faces
    assert words.count("train") == 2 * 4
    assert len({step.output for step in steps}) == len(steps)
    run = next(step for step in steps if step.output.parent.name == "probe-ssim-ffpp4-c23")
    assert run.options.maps == "out/maps/ssim-ffpp4-c23.h5"
    assert run.options.test[:2] == ("cdf=out/lists/cdf-test.csv", "wdf=out/lists/wdf-test.csv")
