"""The GPU checks run, on the CPU, so that nobody borrows a GPU for a script that does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_the_gpu_checks_run_and_hold_on_a_cpu():
    command = [sys.executable, "scripts/benchmarks/check_gpu.py", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--encoder", "test_vit", "--small"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = [line for line in done.stdout.splitlines() if line.endswith("| yes |")]
    assert len(rows) == 6


def test_pixel_metrics_are_measured_beside_others():
    small = "--faces 3 --files 4 --side 32 --repeats 1"
    done = subprocess.run(
        [sys.executable, "scripts/benchmarks/measure_metrics.py", *small.split()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
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
def test_a_measurement_prints_its_figures(script, flags, lines):
    done = subprocess.run(
        [sys.executable, f"scripts/benchmarks/{script}", *TINY, *flags],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == lines
    assert "nan" not in done.stdout
