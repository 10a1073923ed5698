"""Two processes make what one process makes."""

import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

from focus.mapstore import MapReader

VIT = ["--encoder", "vit_tiny_patch16_224", "--image-size", "32", "--swap", "maximum"]


def launch(program, *arguments, processes=2):
    """Run a command under torchrun (accelerate launch starts one process on a CPU without MPI)."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(processes), "-m", program, *map(str, arguments)]
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_training_and_generation_equal_one_process(demo_corpus, tmp_path):
    runs, files = {}, {}
    for processes in (1, 2):
        out = tmp_path / f"run-{processes}"
        train = ["train", "demo", *VIT, "--stage", "-1", "--data", str(demo_corpus)]
        train += ["--out", str(out), "--steps", "2", "--batch", "8", "--validate-every", "2"]
        launch(
            "focus", *train, "--workers", "0", "--quiet", "--optimizer", "sgd", processes=processes
        )
        runs[processes] = load_file(out / "last.safetensors")
        maps = tmp_path / f"{processes}.h5"
        generate = ["generate", "--data", str(demo_corpus), "--weights", str(tmp_path / "run-1")]
        launch(
            "focus", *generate, "--out", str(maps), "--workers", "0", "--quiet", processes=processes
        )
        with MapReader(maps) as reader:
            files[processes] = (
                list(reader.keys),
                reader.read(np.arange(len(reader))),
                reader.scores,
            )
    for name, value in runs[1].items():  # gradients are means over processes: equal up to rounding
        torch.testing.assert_close(value, runs[2][name], atol=1e-5, rtol=1e-4)
    assert files[1][0] == files[2][0]
    assert np.array_equal(files[1][1], files[2][1])
    np.testing.assert_allclose(files[1][2], files[2][2], rtol=0, atol=1e-6)


def test_a_trial_in_two_processes_equals_one(demo_corpus, tmp_path):
    results = {}
    options = ["encoder=resnet10t", "encoder_weights=none", "image_size=64", "channels=8"]
    run = ["run", "--model", "probe", "--maps", "none", "--data", demo_corpus, "--workers", "0"]
    run += ["--options", *options, "--steps", "2", "--batch", "8", "--optimizer", "sgd", "--quiet"]
    for processes in (1, 2):
        out = tmp_path / f"trial-{processes}"
        launch("evaluator", *run, "--draws", "0", "--out", out, processes=processes)
        with MapReader(out / "seed-0" / "test.h5") as reader:
            results[processes] = dict(zip(reader.keys, reader.scores.tolist(), strict=True))
    assert results[1].keys() == results[2].keys()
    # Batch statistics are of half a batch here: alike, not equal.
    pairs = [(score, results[2][key]) for key, score in results[1].items()]
    assert np.abs(np.diff(np.array(pairs), axis=1)).max() < 0.2


def test_two_processes_are_two(tmp_path):
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\n"
        "from focus.runtime import Runtime\n"
        # One write: two processes share the pipe, and print writes its words one by one.
        "sys.stdout.write(f'processes: {Runtime(device=\"cpu\").accelerator().num_processes}\\n')\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [*command, "--nproc_per_node", "2", str(script)],
        capture_output=True, text=True, env=environment, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.count("processes: 2") == 2
