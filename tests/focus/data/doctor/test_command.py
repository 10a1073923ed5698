"""The report of the doctor."""

from __future__ import annotations

import json

import numpy as np
import pytest

from focus.data.doctor import DoctorCommand, doctor_command, examine
from focus.data.index import Face, FaceIndex
from focus.data.sources import Source
from focus.errors import CheckFailedError, InputError
from tests.focus.data.doctor.making import QUIET, draw_image, found, pairs, save


def test_the_report_groups_by_severity_and_ends_in_a_verdict(tmp_path, capsys):
    faces = pairs(tmp_path, 4)
    (tmp_path / "a/v0.jpg").unlink()
    FaceIndex.of(faces, tmp_path).write(tmp_path / "index.csv")
    command = DoctorCommand(Source(str(tmp_path)), json=str(tmp_path / "o/r.json"), runtime=QUIET)
    with pytest.raises(CheckFailedError, match="1 serious fault"):
        doctor_command(command)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path}: 8 faces (4 real, 4 fake); 64x64 pixels"
    assert lines.index("serious") < lines.index("warning") < len(lines)
    assert "        1  faces whose file is missing: a/v0.jpg" in lines
    assert lines[-1] == "faulty: 1 serious fault, 1 warning, 0 notes"
    written = json.loads((tmp_path / "o/r.json").read_text())
    assert written["verdict"] == "faulty"
    assert written["counts"]["splits"]["train"] == {"real": 4, "fake": 4, "unknown": 0}
    assert written["counts"]["methods"] == {"swap": 4}
    assert written["findings"][0]["check"] == "missing files"


def test_json_on_standard_output_stands_alone(demo_corpus, capsys):
    doctor_command(DoctorCommand(Source(str(demo_corpus)), json="-", workers=0))
    assert json.loads(capsys.readouterr().out)["verdict"] == "sound"


def test_names_of_files_do_nothing_to_the_terminal(tmp_path, capsys):
    index = FaceIndex.of([Face("a\x1b[31m\n.jpg", 0)], tmp_path)
    index.write(tmp_path / "index.csv")
    with pytest.raises(CheckFailedError):
        doctor_command(DoctorCommand(Source(str(tmp_path)), runtime=QUIET))
    assert "a?[31m?.jpg" in capsys.readouterr().out


def test_keys_that_stand_twice_are_a_finding(tmp_path, capsys):
    (tmp_path / "index.csv").write_text("path,label\na.jpg,0\na.jpg,1\n")
    with pytest.raises(CheckFailedError):
        doctor_command(DoctorCommand(Source(str(tmp_path)), runtime=QUIET))
    assert "lines 2 and 3 have the same path: a.jpg" in capsys.readouterr().out
    save(tmp_path / "a.jpg", draw_image(0))
    twice = FaceIndex({"path": ["a.jpg", "a.jpg"]}, np.array([0, 1]), tmp_path)
    assert found(examine(twice), "duplicate keys").examples == ("a.jpg",)


def test_what_cannot_be_opened_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        doctor_command(DoctorCommand(Source(str(tmp_path / "nowhere"))))
