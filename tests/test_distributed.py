"""Two processes make what one process makes."""

import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file

from focus.mapstore import MapReader

VIT = ["--encoder", "vit_tiny_patch16_224", "--image-size", "32", "--swap", "maximum"]


def launch(*arguments, processes=2):
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--cpu"]
    command = [*accelerate, "--num_processes", str(processes), "--num_machines", "1"]
    command += ["--dynamo_backend", "no", "--mixed_precision", "no", "-m", "focus", *arguments]
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MASTER_PORT": "29653"}
    import os

    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_training_and_generation_equal_one_process(demo_corpus, tmp_path):
    runs, files = {}, {}
    for processes in (1, 2):
        out = tmp_path / f"run-{processes}"
        train = ["train", "demo", *VIT, "--stage", "-1", "--data", str(demo_corpus)]
        train += ["--out", str(out), "--steps", "2", "--batch", "8", "--validate-every", "2"]
        launch(*train, "--workers", "0", "--quiet", "--optimizer", "sgd", processes=processes)
        runs[processes] = load_file(out / "last.safetensors")
        maps = tmp_path / f"{processes}.h5"
        generate = ["generate", "--data", str(demo_corpus), "--weights", str(tmp_path / "run-1")]
        launch(*generate, "--out", str(maps), "--workers", "0", "--quiet", processes=processes)
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
