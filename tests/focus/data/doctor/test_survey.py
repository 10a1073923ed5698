"""The processes that examine files."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np

from focus.data.doctor import survey
from focus.data.doctor.files import list_files
from focus.data.doctor.looking import FINE
from focus.data.index import FaceIndex
from tests.focus.data.doctor.making import pairs

DYING = """
import os
from focus.data.doctor import looking

def look_at_all(root, quick, tasks):
    if any(task.path == "a/v1.jpg" for task in tasks):
        os._exit(1)
    return looking.look_at_all(root, quick, tasks)
"""


def test_a_decoder_that_crashes_is_a_finding_of_its_file(tmp_path, monkeypatch):
    index = FaceIndex.of(pairs(tmp_path, 3), tmp_path)
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(survey, "look_at_all", importlib.import_module("dying").look_at_all)
    monkeypatch.setattr(survey, "IMAGE_CHUNK", 4)
    seen = survey.survey(list_files(index), quick=False, workers=1, quiet=True)
    assert seen.reasons == {2: survey.CRASHED}
    assert (np.delete(seen.looks["status"], 2) == FINE).all()


def test_the_processes_do_without_torch():
    code = "import sys, focus.data.doctor.looking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
