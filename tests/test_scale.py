"""A million faces, in small: memory does not grow with them, and the steps of the script run."""

import gc
import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from focus.data.loading import _start_worker

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what processes share"
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "benchmarks")
    return importlib.import_module("measure_scale")


def test_generate_takes_no_more_memory_for_more_faces():
    # In one process: how many shared pages a forked worker copies depends on timing.
    flags = ["--groups", "links", "--rows", "1000", "10000", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, "scripts/benchmarks/measure_scale.py", *flags],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split("|") for line in done.stdout.splitlines() if "run_generate" in line]
    few, many = (int(row[7]) for row in rows)
    assert many < 1000
    assert many - few < 20, done.stdout  # their pictures alone would be 105 MiB


def test_a_row_of_the_index_takes_a_few_bytes_more_than_its_paths(script, tmp_path):
    script.write_index(tmp_path / "index.csv", 50_000)
    index = script.FaceIndex.read(tmp_path / "index.csv")
    paths = sum(map(len, index.keys))
    paths += sum(len(path) for name in script.OTHERS for path in index.column(name[:-1]))
    assert len(pickle.dumps(index)) < paths + 50_000 * 48


def test_the_collector_of_a_worker_leaves_shared_pages_alone():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _start_worker(0)
        before = _read_private()
        gc.collect()
        os.write(writing, str(_read_private() - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 20)) < 15_000  # KiB; otherwise all that was imported


def _read_private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))


@pytest.mark.parametrize("group", ["index", "maps", "links", "tar"])
def test_every_step_runs(script, tmp_path, group):
    prepare, steps = script.GROUPS[group]
    prepare(tmp_path, 300)
    for step in steps:
        assert step(script.Setting(tmp_path, 300, 2))
