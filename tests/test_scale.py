"""A million faces, in small: memory does not grow with them, and the steps of the script run."""

import gc
import importlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import pytest

from focus.data.doctor.looking import FACE, FileEntry
from focus.data.doctor.survey import _look_elsewhere
from focus.data.faces import Draw, FaceDataset
from focus.data.forging.making import ForgePlan
from focus.data.forging.processes import make_all
from focus.data.index import FaceIndex
from focus.data.loading import _start_worker, build_loader
from focus.data.prepare import planning, running
from focus.data.prepare.crops import CropConfig
from focus.data.transforms import Augmentation
from tests.focus.data.prepare.making import SquareSettings

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what processes share"
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "benchmarks")
    return importlib.import_module("measure_scale")


def test_generate_takes_no_more_memory_for_more_faces():
    # In one process: the number of shared pages that a forked worker copies depends on timing.
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
    assert many - few < 20, done.stdout  # their images alone would be 105 MiB


def test_a_row_of_the_index_takes_a_few_bytes_more_than_its_paths(script, tmp_path):
    script.write_index(tmp_path / "index.csv", 50_000)
    index = script.FaceIndex.read(tmp_path / "index.csv")
    paths = sum(map(len, index.keys))
    paths += sum(len(path) for name in script.OTHERS for path in index.column(name[:-1]))
    assert len(pickle.dumps(index)) < paths + 50_000 * 48


FACES, IMAGE = 600, 96


@pytest.fixture
def linked_faces(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "SIDE", IMAGE)
    script.link_faces(tmp_path, FACES)
    index = FaceIndex.read(tmp_path / "index.csv")
    return FaceIndex({"path": index.keys}, index.labels, tmp_path)


def load(index):
    batches = [range(start, start + 2) for start in range(0, FACES, 2)]
    return build_loader(FaceDataset(index, IMAGE), batches, workers=2), len(batches)


def load_for_training(index):
    real = np.flatnonzero(index.labels == 0)
    batches = [
        [Draw(r, n), Draw(r, n, forged=True)] for n, r in enumerate(np.resize(real, FACES // 2))
    ]
    changes = Augmentation(augment=("photometric", "self-blend"))
    return build_loader(FaceDataset(index, IMAGE, augmentation=changes), batches, 2), len(batches)


def forge(index):
    keys = tuple(index.keys)
    same, videos = ("",) * FACES, tuple(f"{row // 9}" for row in range(FACES))
    names, out = tuple(map(str, range(FACES))), index.root / "forged"
    plan = ForgePlan(
        index.root, keys, same, same, videos, names, out, ("blend",), 1, 0, 92, False, 0, None
    )
    return make_all(plan, workers=2), FACES


def prepare(index):
    settings = SquareSettings(index.root, index.root / "out", CropConfig(), "squares", None)
    (settings.out / ".prepare").mkdir(parents=True)
    tasks = [planning.Task((clip,)) for task in planning.plan(index, True) for clip in task.clips]
    units = [
        running.Unit(task, settings.out / ".prepare" / f"{row}.json")
        for row, task in enumerate(tasks)
    ]
    return running.run(settings, settings.open(), units, workers=2), FACES


def examine(index):
    chunks = [[FileEntry(row, path, "", FACE)] for row, path in enumerate(index.keys)]
    return _look_elsewhere(index.root, False, iter(chunks), workers=2), FACES


@pytest.mark.parametrize("walk", [load, load_for_training, forge, prepare, examine])
def test_a_worker_takes_no_more_memory_for_more_faces(linked_faces, walk):
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # a heap without other tests
        growth = fresh.submit(measure_growth, walk, linked_faces).result()
    assert growth < 6000, "KiB; the images of the faces in between alone are 12,150"


def measure_growth(walk, faces):
    """Return by how much the workers grow from a quarter of the faces on, in KiB."""
    results, count = walk(faces)
    first = 0
    for number, _ in enumerate(results, 1):
        if number == count // 4:
            first = sum(map(_read_anonymous, active_children()))
        if number == count - 1:
            growth = sum(map(_read_anonymous, active_children())) - first
    assert first > 0
    return growth


def _read_anonymous(process):
    """Return the memory of a process that is not of files, in KiB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


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
