"""Scripts for a GPU or a cluster run here, so that nobody waits for a machine in vain."""

import os
import re
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from focus.data.images import read_mask
from focus.data.index import FaceIndex
from focus.mapstore import MapReader, MapWriter

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Return a function that runs a script in this process and returns what it prints."""

    def run(script, *flags):
        path = ROOT / "scripts" / script
        monkeypatch.setattr(sys, "argv", [script, *map(str, flags)])
        monkeypatch.syspath_prepend(path.parent)
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_the_gpu_checks_run_and_hold_on_a_cpu(run_script, capsys):
    flags = ["--device", "cpu", "--encoder", "test_vit", "--small"]
    with pytest.raises(SystemExit, match=r"^0$"):
        run_script("benchmarks/check_gpu.py", *flags)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("| yes |") for line in lines) == 6


def test_pixel_metrics_are_measured_beside_others(run_script):
    small = "--faces 3 --files 4 --side 32 --repeats 1"
    lines = run_script("benchmarks/measure_metrics.py", *small.split())
    assert sum(" to 32 |" in line for line in lines) == 18
    apart = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("largest")]
    assert len(apart) == 2
    assert apart[0] < 1e-6  # torchmetrics, in float32
    assert apart[1] < 5e-3  # the loop, at 256 levels


def test_the_gpu_script_lists_its_parts():
    done = subprocess.run(["bash", "scripts/gpu.sh"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "checks:" in done.stdout
    assert "generate:" in done.stdout


TINY = ["--encoder", "test_vit", "--repeats", "1", "--batch", "4", "--device", "cpu"]


@pytest.mark.parametrize(
    ("script", "flags", "lines"),
    [
        ("measure_overhead.py", ["--faces", "8", "--decode-faces", "8"], 4),
        ("measure_training.py", ["--steps", "4"], 1),
    ],
)
def test_a_measurement_prints_its_figures(run_script, script, flags, lines):
    printed = run_script(f"benchmarks/{script}", *TINY, *flags)
    assert len(printed) == lines
    assert "nan" not in "".join(printed)


@pytest.fixture
def array(tmp_path):
    """Return a function that runs a task of scripts/generate_array.sh with this tree's focus."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (
        ("focus", f'exec "{sys.executable}" -m focus "$@"'),
        ("scontrol", f'echo "$@" >> {tmp_path}/scontrol.txt'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    paths = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(task, *words, tasks=2):
        numbers = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(tasks)}
        return subprocess.run(
            ["bash", str(ROOT / "scripts/generate_array.sh"), *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **paths, **numbers, "SLURM_JOB_ID": "7"},
        )

    return run


def test_each_task_of_an_array_makes_the_maps_of_its_tars(array, tmp_path, demo_corpus):
    images = sorted(demo_corpus.parent.rglob("*.jpg"))[:6]
    for number in range(3):
        with tarfile.open(tmp_path / f"faces-{number}.tar", "w") as tar:
            for image in images[2 * number : 2 * number + 2]:
                tar.add(image, f"real/{image.name}")
                tar.add(image, f"fake/{image.name}")
    (tmp_path / "tars.txt").write_text("faces-0.tar\nfaces-1.tar\n\nfaces-2.tar\nnone.tar\n")
    words = ["tars.txt", "maps", "--method", "pixel", "--crop", "frame", "--device", "cpu"]
    first, second = (array(task, *words) for task in (0, 1))
    assert first.returncode == 0, first.stderr
    assert second.returncode == 1
    assert "none.tar" in second.stderr  # a missing tar stops no other
    made = sorted(path.name for path in (tmp_path / "maps").glob("*.h5"))
    assert made == ["faces-0.h5", "faces-1.h5", "faces-2.h5"]
    with MapReader(tmp_path / "maps" / "faces-1.h5") as reader:
        assert all(key.startswith("faces-1.tar!/") for key in reader.face_keys)
    times = [path.stat().st_mtime_ns for path in (tmp_path / "maps").glob("*.h5")]
    assert array(0, *words).returncode == 0  # finished ones are skipped
    assert [path.stat().st_mtime_ns for path in (tmp_path / "maps").glob("*.h5")] == times
    (tmp_path / "tars.txt").write_text("a/x.tar\nb/x.tar\n")
    refused = array(0, *words)
    assert (refused.returncode, "two tars are named x.tar" in refused.stdout) == (2, True)


def test_a_task_that_runs_out_of_time_is_requeued(array, tmp_path):
    (tmp_path / "bin" / "focus").write_text("#!/bin/sh\nkill -TERM $PPID; sleep 0.3; exit 130\n")
    (tmp_path / "tars.txt").write_text("a.tar\nb.tar\n")
    assert array(0, "tars.txt", "maps").returncode == 1
    assert (tmp_path / "scontrol.txt").read_text() == "requeue 7\n"


def test_placement_is_compared_over_seeds(run_script, demo_corpus, tmp_path):
    index = FaceIndex.read(demo_corpus)
    for name, blur, noise in (("near-0", 5, 0.1), ("near-1", 5, 0.2), ("far", 41, 0.6)):
        rng = np.random.default_rng(len(name))
        maps = np.zeros((len(index), 32, 32), np.float32)
        for row, mask in enumerate(index.column("mask")):
            if mask:
                truth = read_mask(index.root / mask).astype(np.float32)
                maps[row] = cv2.resize(cv2.blur(truth, (blur, blur)), (32, 32))
        maps = np.clip(maps + noise * rng.random(maps.shape), 0, 1)
        scores = np.clip(index.labels * 0.5 + rng.random(len(index)) * (0.4 + noise), 0, 1)
        with MapWriter(tmp_path / f"{name}.h5", generator=name) as writer:
            writer.append(index.keys, maps, scores=scores)

    def compare(*names):
        files = (tmp_path / f"{name}.h5" for name in names)
        return run_script("compare_placement.py", *files, "--data", demo_corpus, "--split", "")

    with pytest.raises(SystemExit, match="near has 2 seeds, far has 1"):
        compare("near-0", "near-1", "far")
    head, _, near, far = compare("near-0", "far")
    assert head.startswith("| maps | seeds | frame AUC | inside the face | whole | near minus it")
    values = [[float(n) for n in re.findall(r"[-+]?\d\.\d+", line)] for line in (near, far)]
    assert len(values[0]) == 3
    assert values[1][6] == pytest.approx(values[0][1] - values[1][1], abs=2e-3)
    assert values[1][7] < values[1][6] < values[1][8]
