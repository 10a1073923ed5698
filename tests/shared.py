"""What tests of several folders use: the shared material, and command lines in a new process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SHARED = Path(os.environ.get("FOCUS_SHARED", Path(__file__).parents[2] / "shared"))
"""The folder of weights and photographs that some tests need; they are skipped without it."""

_LINES = """
import contextlib, io, json, sys
from evaluator.cli import main as evaluator
from focus.cli import main as focus

found = []
for program, *words in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = {"focus": focus, "evaluator": evaluator}[program](words)
    found.append((code, out.getvalue(), error.getvalue()))
print(json.dumps(found))
"""


class Done(NamedTuple):
    """The end of a command line."""

    returncode: int
    stdout: str
    stderr: str


def call_lines(
    *lines: Sequence[object],
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    before: str = "",
) -> list[Done]:
    """Run command lines, such as ``["focus", "info", path]``, one after another in a new process.

    One process for all: importing torch takes seconds. ``before`` is a program that runs first.
    """
    words = json.dumps([[str(word) for word in line] for line in lines])
    done = subprocess.run(
        [sys.executable, "-c", before + _LINES, words],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [Done(*found) for found in json.loads(done.stdout.splitlines()[-1])]
