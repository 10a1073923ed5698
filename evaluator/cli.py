"""The command line ``evaluator``: the same table and the same rules as ``focus``."""

from __future__ import annotations

import sys

from focus.commands import Command, run

COMMANDS = {
    "score": Command(
        "evaluator.scoring:ScoreCommand",
        "evaluator.scoring:score_command",
        "judge maps against truth masks, without training",
        "evaluator score --maps focus.h5 --data index.csv --split test",
    ),
    "table": Command(
        "evaluator.tables:TableCommand",
        "evaluator.tables:table_command",
        "set results side by side",
        "evaluator table focus.json gradcam.json --format latex",
        words="results",
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``evaluator`` and return its exit code."""
    about = "Judges manipulation maps, and the detectors that learn from them."
    return run("evaluator", about, COMMANDS, sys.argv[1:] if arguments is None else arguments)
