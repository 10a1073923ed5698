from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from focus.errors import InputError
from focus.folders import claim, hold

ROOT = Path(__file__).parents[2]
STRANGERS = [".notes.tmp", ".tmpAbCdEf", ".x.1.tmp"]
RUN = {"seed": 1, "data": "faces", "index_fingerprint": "a" * 64}


def test_a_folder_is_locked_by_one_run(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.1-a.focus-tmp").mkdir()
    (tmp_path / "out/.1-a.focus-tmp/best.safetensors").touch()
    for name in STRANGERS:
        (tmp_path / "out" / name).touch()
    with hold(tmp_path / "out"):
        assert sorted(os.listdir(tmp_path / "out")) == sorted([".lock", *STRANGERS])
        refused = pytest.raises(InputError, match="out: another run is writing it")
        with refused, hold(tmp_path / "out"):
            pass
    assert sorted(os.listdir(tmp_path / "out")) == STRANGERS


HOLD = "import sys, time; from focus.folders import *; from pathlib import Path\n"
HOLD += "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_lock_ends_with_its_process(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another run"), hold(tmp_path):
            pass
        holder.kill()
    with hold(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_is_claimed_once_and_again_by_the_same_run(tmp_path):
    record = tmp_path / "run.json"
    (tmp_path / ".lock").touch()
    assert claim(tmp_path, record, RUN) is False
    assert json.loads(record.read_text()) == RUN
    assert claim(tmp_path, record, RUN) is True
    assert claim(tmp_path, record, {**RUN, "seed": 2}, compare=["data"]) is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 2, "data": ""}, "seed: 1 there, 2 here, data: faces there, none here"),
        ({"index_fingerprint": "b" * 64}, r"holds another run \(other faces; see .*run\.json\)"),
    ],
)
def test_another_run_is_refused_with_the_difference(tmp_path, change, said):
    record = tmp_path / "run.json"
    claim(tmp_path, record, RUN)
    with pytest.raises(InputError, match=f"{said}.*; name a new one") as caught:
        claim(tmp_path, record, RUN | change, advice="name a new one")
    assert "bbb" not in str(caught.value)
    assert json.loads(record.read_text()) == RUN
    assert claim(tmp_path, record, RUN | change, replace=True) is False
    assert json.loads(record.read_text()) == RUN | change


def test_a_folder_without_a_readable_record_is_refused(tmp_path):
    record = tmp_path / "run.json"
    record.write_text("[" * 9999)
    with pytest.raises(InputError, match="its record cannot be read"):
        claim(tmp_path, record, RUN)
    record.unlink()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"is not empty and holds no run\.json"):
        claim(tmp_path, record, RUN)
    assert not record.exists()
