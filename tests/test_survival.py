"""Nothing is lost when a run is killed, stopped, started twice, or when the disk is full."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evaluator.trial.command import RunCommand, run_command
from focus import commands
from focus.backbones import write_tensors
from focus.commands import Command
from focus.data.faces import FaceDataset
from focus.data.forging import ForgeCommand, forge_command
from focus.data.index import FaceIndex
from focus.data.loading import build_loader
from focus.data.sources import Source
from focus.errors import InputError
from focus.folders import hold
from focus.mapstore import MapReader, MapWriter
from focus.network.model import FoCusConfig
from focus.runs import RunFolder, choose_weights
from focus.runtime import Runtime
from focus.training.command import TrainCommand, train_command
from focus.training.journal import Journal
from focus.training.options import FitConfig

ROOT = Path(__file__).parent.parent
QUIET = Runtime(device="cpu", quiet=True)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def is_gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2]
    except OSError:
        return True
    return state[0] in "ZX"


def list_children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(number) for number in path.read_text().split()]


# Killed


def run_script(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT / "tests" / "stress",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return done.stdout


@LINUX
def test_runs_killed_beside_their_writes_end_as_if_left_alone():
    said = run_script("kill_runs.py", "--points", "--pause", "0.001")
    rows = [line.split(" | ") for line in said.splitlines() if line.endswith(" s |")]
    assert [(row[1], row[9]) for row in rows] == [("3", "3"), ("3", "3"), ("2", "2")]


def test_the_mark_of_a_finished_run_stands_before_its_state_goes(tmp_path, monkeypatch):
    (tmp_path / "resume.safetensors").write_bytes(b"state")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # killed between the two
    RunFolder(tmp_path).mark_finished()
    assert (tmp_path / "finished").exists()


@LINUX
def test_the_check_of_faults_runs():
    said = run_script("check_faults.py", "--kind", "second", "--only", "forge")
    assert "focus forge: out: another run is writing it" in said
    assert said.rstrip().endswith("| yes |")


# Files


def test_weights_are_as_readable_as_any_file(tmp_path):
    write_tensors({"x": torch.arange(3)}, tmp_path / "x.safetensors")
    (tmp_path / "plain").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["x.safetensors"] == modes["plain"]
    assert load_file(tmp_path / "x.safetensors")["x"].tolist() == [0, 1, 2]


def test_weights_on_a_full_disk(tmp_path, monkeypatch):
    from focus import backbones

    def fail(*_: object) -> None:
        raise backbones.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(backbones, "save_file", fail)
    with pytest.raises(InputError, match=r"w: no room on the disk \(No space left on device\)"):
        write_tensors({}, tmp_path / "w")


def test_a_reader_keeps_what_it_has_opened(tmp_path):
    out = tmp_path / "x.h5"
    for value in (10, 20):
        with MapWriter(out, generator="x", overwrite=True) as writer:
            writer.append(["a"], np.full((1, 4, 4), value, np.uint8))
        if value == 10:
            old = h5py.File(out)
    assert (old["maps"][:] == 10 * 256 * 16).all()
    assert (MapReader(out).read(np.array([0])) == np.float32(20) / np.float32(255)).all()


def test_parts_that_a_complete_file_left_behind_are_swept(tmp_path):
    attributes = {"generator": "x", "index_fingerprint": "y"}
    rows = ["a"], np.zeros((1, 4, 4), np.uint8)

    def write() -> MapWriter:
        return MapWriter(tmp_path / "x.h5", attributes, 1)

    with write() as writer:
        writer.append(*rows)
    folder = tmp_path / "x.h5.parts"
    folder.mkdir()  # as if killed after the rename
    (folder / "run.json").write_text("{}")
    assert write().complete
    assert not folder.exists()


# Two runs


def test_a_second_run_is_refused(demo_corpus, tmp_path):
    out, source = tmp_path / "out", Source(data=str(demo_corpus))
    network = FoCusConfig(encoder="resnet10t", encoder_weights="none", image_size=64)
    second = (
        lambda: train_command(TrainCommand(source, out, network=network, runtime=QUIET)),
        lambda: forge_command(ForgeCommand(source, out, workers=0, runtime=QUIET)),
        lambda: run_command(RunCommand(source=source, out=out, runtime=QUIET)),
    )
    with hold(tmp_path / "out"):
        for run in second:
            with pytest.raises(InputError, match="another run is writing it"):
                run()
    assert os.listdir(tmp_path / "out") == []


# Signals


def stop(_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


def lose_worker(_: object) -> None:
    raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [(stop, 130, "interrupted; finished"), (lose_worker, 2, "a data-loader worker was killed")],
)
def test_a_stopped_command_ends_in_one_line(monkeypatch, capsys, function, code, said):
    monkeypatch.setattr(commands, "parse", lambda *_: None)
    monkeypatch.setattr(commands, "load", lambda _: function)
    before = signal.getsignal(signal.SIGTERM)
    assert commands.run("focus", "", {"x": Command("", "", "", "")}, ["x"]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"focus x: {said}")
    assert error.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) == before


@LINUX
def test_loader_workers_leave_signals_to_the_main_process(demo_corpus):
    faces = FaceDataset(FaceIndex.read(demo_corpus), 64)
    before = list_children()
    batches = iter(build_loader(faces, [[k] for k in range(40)], 1))
    first = next(batches)
    workers = [process for process in list_children() if process not in before]
    for number in (signal.SIGINT, signal.SIGTERM):  # as a terminal does, which is not the parent
        words = f"import os; [os.kill(p, {int(number)}) for p in {workers}]"
        subprocess.run([sys.executable, "-c", words], check=True)
    assert sum(len(batch.keys) for batch in [first, *batches]) == 40
    for worker in workers:
        deadline = time.monotonic() + 10
        while not is_gone(worker):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@LINUX
@pytest.mark.parametrize("words", [["-m", "focus"], ["-m", "evaluator"]])
def test_ctrl_c_while_importing(words, tmp_path):
    command = {"focus": "train", "evaluator": "run"}[words[1]]
    process = subprocess.Popen(
        [sys.executable, *words, command, "--data", "nowhere"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Shells start background processes with it ignored, and this one would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while "libtorch_cpu" not in maps.read_text():  # it has begun to import torch
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said == f"{words[1]} {command}: interrupted; finished work is kept\n"


# Clocks


def test_a_clock_set_back_does_not_matter(demo_corpus, tmp_path, monkeypatch):
    fit = {"steps": 2, "batch": 4, "validate_every": 1, "workers": 0}
    network = FoCusConfig(
        encoder="resnet10t", encoder_weights="none", image_size=64, stage=2, output_stride=8
    )

    def train(out: str, **more: object) -> None:
        source = Source(data=str(demo_corpus))
        settings = {"resume": (tmp_path / out).exists(), "runtime": QUIET, "network": network}
        train_command(
            TrainCommand(source, tmp_path / out, fit=FitConfig(**{**fit, **more}), **settings)
        )

    train("whole")
    train("halves", stop_after=1)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    train("halves")
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halves" / name).read_bytes()
    assert not list((tmp_path / "halves").glob(".*"))
    # TensorBoard reads files in the order of their names, and drops events of replaced steps.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "halves/tensorboard")).Reload()
    assert [event.step for event in events.Scalars("val/auc")] == [1, 2]
    os.utime(tmp_path / "whole/finished", (2**33, 2**33))  # in the year 2242
    assert choose_weights(tmp_path, "focus")[0].name == "whole"
    path, origin = choose_weights(tmp_path / "none", "focus")
    assert (path.name, origin[:18]) == ("focus-small", "the released model")
    with pytest.raises(InputError, match="no finished classifier run under"):
        choose_weights(tmp_path / "none", "classifier")


def test_events_of_a_full_disk_are_said(tmp_path):
    journal = Journal(tmp_path)
    (tmp_path / "tensorboard").touch()
    journal.write(1, {"val/auc": 0.5})
    with pytest.raises(InputError, match=r"tensorboard/.*: cannot be written \(Not a directory\)"):
        journal.save()
