"""Compare the output of several processes with that of one, then kill, stop or break one of them.

Starts ``focus train``, ``focus generate`` and ``evaluator run`` in 2 and 3 processes on CPUs. The
processes of an *equal* case have no launcher, only the environment that docs/cluster.md sets for
srun; the others are started by the agent of ``torch.distributed.run``, those of *nodes* by one
launcher each, as on two machines. Prints a table: the outcome, ``ok`` or WRONG, the seconds until
the others had ended, and the lines that the processes wrote.

A few minutes on two cores; ``--case`` names single ones.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from safetensors.numpy import load_file

PATIENCE = 300.0
SHORT = 10.0  # timeout in seconds for a hanging process, instead of ten minutes
FORK = multiprocessing.get_context("fork")
VIT = "--encoder test_vit --encoder-weights none --image-size 32 --stage -1"
TRAIN = f"train demo {VIT} --swap maximum --optimizer sgd --workers 0 --data index.csv"
LONG = f"{TRAIN} --out long --steps 10000 --batch 12 --validate-every 10000"
GENERATE = "generate --weights run --workers 0 --data index.csv --real-maps fake-class"
TRIAL = (
    "run --model probe --maps none --data index.csv --workers 0 --steps 2 --batch 12 --draws 0"
    " --optimizer sgd --options encoder=test_byobnet encoder_weights=none image_size=64 channels=8"
)


# All that the processes need, so that each starts at once.
IMPORTS = (
    "accelerate",
    "evaluator.probe",
    "evaluator.trial.command",
    "evaluator.trial.report",
    "focus.generation",
    "focus.training.command",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "tensorboard.compat.proto.event_pb2",
    "timm",
    "torch.distributed.launcher.api",
)


class Told(NamedTuple):
    """Result of a case: its outcome, its duration, and the printed lines."""

    what: str
    seconds: float
    lines: Sequence[str] = ()


class Run:
    """The processes of a run, each with a separate file for its error output.

    Args:
        work: folder in which they run.
        arguments: of ``focus``, or of ``evaluator`` if they start with ``run``.
        count: number of processes.
        way: plain, torchrun or nodes.
        settings: environment variables of the script's inner part, see :func:`inside`.
    """

    def __init__(
        self, work: Path, arguments: str, count: int, way: str = "plain", **settings: object
    ) -> None:
        self.work, self.count = work, count
        self.marks = Path(tempfile.mkdtemp(dir=work))
        given = {f"CHECK_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment = {
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.environ.get("PYTHONPATH", str(Path(__file__).parents[2])),
            "CHECK_MARKS": str(self.marks),
            **given,
        }
        self.arguments = arguments.split()
        self.port = _free_port()
        start = self._fork if way == "plain" else self._launch
        self.started = [start(way, k) for k in range(1 if way == "torchrun" else count)]

    def _fork(self, _: str, rank: int) -> BaseProcess:
        """Start a process as srun does, with the imports done."""
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.count}
        names |= {"LOCAL_WORLD_SIZE": self.count, "MASTER_PORT": self.port}
        environment = {name: str(value) for name, value in names.items()}
        environment |= {**self.environment, "MASTER_ADDR": "localhost"}
        logs = self.marks / f"logs-{rank}"
        logs.mkdir()
        one = FORK.Process(target=_follow, args=(self.work, logs, environment, self.arguments))
        one.start()
        return one

    def _launch(self, way: str, number: int) -> BaseProcess:
        """Start a launcher, which starts the processes."""
        logs = self.marks / f"logs-{number}"
        out = self.marks / f"launcher-{number}.log"
        target: Callable[..., None] = _launch_forks
        given: tuple[object, ...] = (self.count, logs, self.arguments)
        if way == "nodes":
            place = ["--nnodes", str(self.count), "--rdzv_id", "check", "--nproc_per_node", "1"]
            place += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"localhost:{self.port}"]
            place += ["--log-dir", str(logs), "--redirects", "3"]
            place += [str(Path(__file__).resolve()), "--inside", *self.arguments]
            target = _become
            given = ([sys.executable, "-m", "torch.distributed.run", *place],)
        one = FORK.Process(target=target, args=(self.work, out, self.environment, *given))
        one.start()
        return one

    def wait(self) -> list[int | None]:
        """Return the exit codes of the started processes or launchers."""
        end = time.monotonic() + PATIENCE
        for one in self.started:
            one.join(max(end - time.monotonic(), 0.1))
        codes = [one.exitcode for one in self.started]
        self.end()
        return codes

    def pid(self, rank: int, parent: bool = False) -> int:
        """Return the id of a process, or of its launcher, once it is working."""
        mark, end = self.marks / f"at-{rank}", time.monotonic() + PATIENCE
        while not mark.exists():
            if time.monotonic() > end or not all(one.is_alive() for one in self.started):
                raise RuntimeError(f"process {rank} did not begin: {self.lines()}")
            time.sleep(0.05)
        time.sleep(0.2)
        return int(mark.read_text().split()[parent])

    def outlive(self, ranks: Sequence[int]) -> float:
        """Return the seconds until these processes have ended."""
        began, pids = time.monotonic(), [self.pid(rank) for rank in ranks]
        while any(_is_there(pid) for pid in pids) and time.monotonic() - began < PATIENCE:
            time.sleep(0.05)
        return time.monotonic() - began

    def lines(self) -> list[str]:
        """Return the error output of the processes, without that of the launchers."""
        found = sorted(self.marks.glob("logs-*/**/stderr.log"))
        return [line for path in found for line in path.read_text().splitlines() if line.strip()]

    def end(self) -> None:
        """End the remaining processes."""
        marks = [int(mark.read_text().split()[0]) for mark in self.marks.glob("at-*")]
        for pid in [*(one.pid for one in self.started if one.is_alive()), *marks]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid or 0, signal.SIGKILL)
        for one in self.started:
            one.join()


def _follow(work: Path, logs: Path, environment: dict[str, str], arguments: list[str]) -> None:
    """Run a command in a forked process."""
    _redirect(work, logs / "stderr.log")
    os.environ.update(environment)
    sys.exit(inside(arguments))


def _become(work: Path, out: Path, environment: dict[str, str], command: list[str]) -> None:
    """Run a launcher in a forked process."""
    _redirect(work, out)
    os.execve(command[0], command, {**os.environ, **environment})


def _launch_forks(
    work: Path, out: Path, environment: dict[str, str], count: int, logs: Path, words: list[str]
) -> None:
    """Run the agent of ``torch.distributed.run`` in a forked process; its processes are forks too.

    They are spared the imports, most of the time of a process that torchrun starts.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _redirect(work, out)
    os.environ.update(environment)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="check",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
        logs_specs=DefaultLogsSpecs(log_dir=str(logs), redirects=Std.ALL),
    )
    elastic_launch(config, _exit_with)(words)


def _exit_with(words: list[str]) -> None:
    """Run a command with the signal handlers of a new process in place of the agent's."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(inside(words))


def _redirect(work: Path, out: Path) -> None:
    os.setsid()
    os.chdir(work)
    with out.open("wb") as file, open(os.devnull, "wb") as nothing:
        os.dup2(file.fileno(), 2)
        os.dup2(nothing.fileno(), 1)


def fall(
    work: Path,
    arguments: str,
    victim: int,
    how: signal.Signals = signal.SIGKILL,
    count: int = 2,
    way: str = "torchrun",
) -> Told:
    """Send one process a signal during its work; the others must end without a traceback."""
    short = {"patience": SHORT} if how == STOP else {}
    run = Run(work, arguments, count, way, pause=0.3, part_rows=4, **short)
    others = [rank for rank in range(count) if rank != victim]
    try:
        pids = [run.pid(rank) for rank in range(count)]
        launcher = run.pid(victim, parent=True) if way == "nodes" else None
        for pid in filter(None, (launcher, pids[victim])):  # a node fails with its launcher
            os.kill(pid, how)
        seconds = run.outlive(others)
        gone = not any(_is_there(pids[rank]) for rank in others)
        time.sleep(0.3)
        what = f"{how.name} to {victim} of {count}"
        good = gone and _is_calm(run.lines())
        return Told(f"{what}: {'ok' if good else 'WRONG'}", seconds, run.lines())
    finally:
        run.end()


def fault(work: Path, arguments: str, way: str = "torchrun") -> Told:
    """Simulate a full disk in one process; its line must be the only one."""
    run = Run(work, arguments, 3, way, pause=0.05, part_rows=4, fault=1)
    try:
        for rank in range(3):
            run.pid(rank)
        seconds = run.outlive([0, 2])
        time.sleep(0.3)
        lines = run.lines()
        told = [line for line in lines if "process 1: out.h5: no room" in line]
        good = len(told) == 1 and _is_calm(lines)
        return Told(f"InputError in 1 of 3: {'ok' if good else 'WRONG'}", seconds, lines)
    finally:
        run.end()


def interrupt(work: Path) -> Told:
    """Send SIGTERM to all processes of a training and to their launcher, as a queue does."""
    shutil.rmtree(work / "long", ignore_errors=True)
    run = Run(work, LONG, 3, "torchrun", pause=0.05)
    try:
        pids = [run.pid(rank) for rank in range(3)]
        for pid in random.Random(0).sample(pids, 3):
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.03)
        os.kill(run.started[0].pid or 0, signal.SIGTERM)
        seconds = run.outlive([0, 1, 2])
        kept = (work / "long" / "resume.safetensors").exists()
        lines = run.lines()
        good = kept and len(lines) == 1 and "resume" in lines[0]
        return Told(f"SIGTERM to all, state kept: {'ok' if good else 'WRONG'}", seconds, lines)
    finally:
        run.end()
        shutil.rmtree(work / "long", ignore_errors=True)


def equal_training(work: Path, count: int) -> Told:
    """Compare the weights of a training, and the faces that it could not read."""
    began, runs, codes = time.monotonic(), [], []
    for processes in (1, count):
        out = f"equal-{processes}"
        shutil.rmtree(work / out, ignore_errors=True)
        arguments = f"{TRAIN} --out {out} --steps 6 --batch 12 --validate-every 3"
        run = Run(work, arguments.replace("index.csv", "broken.csv"), processes)
        codes += run.wait()
        runs.append((load_file(work / out / "last.safetensors"), _failures(run)))
        finished = (work / out / "finished").exists()
    (one, failures), (more, others) = runs
    apart = max(float(np.abs(one[name] - more[name]).max()) for name in one)
    good = apart < 1e-3 and failures == others == 1 and finished and codes.count(1) == 2
    what = f"weights apart by {apart:.1g}, {others} face left out: {'ok' if good else 'WRONG'}"
    return Told(what, time.monotonic() - began)


def equal_maps(work: Path, count: int, part_rows: int) -> Told:
    """Compare map files byte by byte, the moment of making apart."""
    began, files = time.monotonic(), []
    for processes in (1, count):
        out = work / f"maps-{processes}.h5"
        out.unlink(missing_ok=True)
        arguments = f"{GENERATE} --out {out}".replace("index.csv", "broken.csv")
        Run(work, arguments, processes, part_rows=part_rows).wait()
        with h5py.File(out) as file:
            created = bytes(file.attrs["created"])
        errors = Path(f"{out}.errors.csv").read_bytes()
        files.append((out.read_bytes().replace(created, bytes(len(created))), errors))
    good = files[0] == files[1] and len(files[0][1].splitlines()) == 2
    what = f"parts of {part_rows}, 96 faces, 1 unreadable, bytes equal: {'ok' if good else 'WRONG'}"
    return Told(what, time.monotonic() - began)


def equal_trial(work: Path, count: int) -> Told:
    """Compare the scores of a trial on 8 validation faces."""
    began, scores = time.monotonic(), []
    for processes in (1, count):
        out = work / f"trial-{processes}"
        shutil.rmtree(out, ignore_errors=True)
        Run(work, f"{TRIAL} --out {out}", processes).wait()
        with (out / "predictions.csv").open() as file:
            scores.append({row["key"]: float(row["score_0"]) for row in csv.DictReader(file)})
    apart = max(abs(scores[0][key] - scores[1][key]) for key in scores[0])
    good = scores[0].keys() == scores[1].keys() and apart < 0.2
    what = f"scores apart by {apart:.1g} (batch statistics): {'ok' if good else 'WRONG'}"
    return Told(what, time.monotonic() - began)


def _is_calm(lines: Sequence[str]) -> bool:
    """Return whether the processes wrote a line or two, and no traceback."""
    return len(lines) <= 2 and not any("Traceback" in line for line in lines)


def _failures(run: Run) -> int:
    """Return the number in the last line, "N faces could not be read"."""
    found = [line for line in run.lines() if "could not be read" in line]
    return int(found[0].split(": ")[1].split()[0]) if len(found) == 1 else -1


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    except OSError:
        return True
    return state != "Z"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


STOP = signal.SIGSTOP
MAPS = f"{GENERATE} --out falls.h5"
CASES: dict[str, Callable[[Path], Told]] = {
    "train in 2": lambda work: equal_training(work, 2),
    "train in 3": lambda work: equal_training(work, 3),
    "generate in 2": lambda work: equal_maps(work, 2, 7),
    "generate in 3, 2 parts": lambda work: equal_maps(work, 3, 50),
    "run in 2": lambda work: equal_trial(work, 2),
    "run in 3": lambda work: equal_trial(work, 3),
    "train, 1 killed": lambda work: fall(work, LONG, 1),
    "train, 0 killed": lambda work: fall(work, LONG, 0, count=3),
    "generate, 1 killed": lambda work: fall(work, MAPS, 1),
    "generate, 0 killed": lambda work: fall(work, MAPS, 0, count=3),
    "train, 0 stopped": lambda work: fall(work, LONG, 0, STOP),
    "generate, 1 stopped": lambda work: fall(work, MAPS, 1, STOP),
    "train, fault": lambda work: fault(work, LONG),
    "generate, fault": lambda work: fault(work, MAPS),
    "train, time is up": lambda work: interrupt(work),
    "nodes: train, 1 killed": lambda work: fall(work, LONG, 1, way="nodes"),
    "nodes: train, 0 killed": lambda work: fall(work, LONG, 0, way="nodes"),
    "nodes: generate, 1 killed": lambda work: fall(work, MAPS, 1, way="nodes"),
    "nodes: generate, fault": lambda work: fault(work, MAPS, "nodes"),
}


def prepare(work: Path) -> None:
    """Draw 96 faces, one of them broken in ``broken.csv``, and train the network of the maps."""
    from focus.cli import main as focus
    from focus.data.demo import DemoConfig, write_demo_corpus

    write_demo_corpus(work, DemoConfig(people=24, images_per_person=2, size=64), quiet=True)
    rows = (work / "index.csv").read_text().splitlines()
    victim = next(row for row in rows if ",val," in row).split(",")[0]
    (work / "broken.jpg").write_bytes(b"not an image")
    text = "\n".join(rows) + "\n"
    (work / "broken.csv").write_text(text.replace(victim, "broken.jpg"))
    arguments = f"{TRAIN} --steps 1 --batch 12 --quiet --device cpu".replace(
        "index", f"{work}/index"
    )
    focus([*arguments.split(), "--out", str(work / "run")])


def inside(arguments: list[str]) -> int:
    """Run a command in this process, slowed down or broken by environment variables.

    CHECK_MARKS: folder in which each process writes its id once it is working. CHECK_PAUSE: seconds
    per face from then on. CHECK_FAULT: the process that gets a full disk once all are working.
    CHECK_PART_ROWS: faces per segment. CHECK_PATIENCE: seconds that a process waits for another.
    """
    import evaluator.cli
    import focus.cli
    import focus.generation.running
    import focus.runtime
    from focus.data.faces import FaceDataset
    from focus.errors import InputError
    from focus.generation import generate

    if patience := os.environ.get("CHECK_PATIENCE"):
        focus.runtime.ANSWER_SECONDS = float(patience)
        focus.generation.running.PATIENCE = float(patience)  # type: ignore[attr-defined]
    rank, pause = os.environ["RANK"], float(os.environ.get("CHECK_PAUSE", 0))
    mark = Path(os.environ["CHECK_MARKS"]) / f"at-{rank}"
    after = 3 if "generate" in arguments else 100  # behind the faces that calibrate the network
    read, seen = FaceDataset.__getitem__, []

    def slowly(self: FaceDataset, draw: object) -> object:
        seen.append(draw)
        if len(seen) == after:
            mark.write_text(f"{os.getpid()} {os.getppid()}")
        begun = len(list(mark.parent.glob("at-*"))) == int(os.environ["WORLD_SIZE"])
        if begun and rank == os.environ.get("CHECK_FAULT"):
            raise InputError("out.h5: no room on the disk")
        if len(seen) >= after:
            time.sleep(pause)
        return read(self, draw)  # type: ignore[arg-type]

    FaceDataset.__getitem__ = slowly  # type: ignore[assignment, method-assign]
    if rows := os.environ.get("CHECK_PART_ROWS"):
        assert generate.__kwdefaults__
        generate.__kwdefaults__["part_rows"] = int(rows)
    main = evaluator.cli.main if arguments[0] == "run" else focus.cli.main
    return main([*arguments, "--quiet", "--device", "cpu"]) or 0


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(sys.argv[2:]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", nargs="*", default=[], help=f"of: {', '.join(CASES)}")
    asked = parser.parse_args().case or list(CASES)
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # read at import, and set by the commands
    for module in IMPORTS:
        importlib.import_module(module)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        first = FORK.Process(target=prepare, args=(work,))
        first.start()
        first.join()
        print("| case | outcome | seconds | error output |\n|---|---|---|---|")
        for name in asked:
            try:
                told = CASES[name](work)
            except (OSError, RuntimeError) as error:
                told = Told(f"WRONG: {error}", 0.0)
            for left in ("long", "falls.h5.parts"):
                shutil.rmtree(work / left, ignore_errors=True)
            wrong += not told.what.endswith("ok")
            said = "; ".join(told.lines).replace("|", "/")
            print(f"| {name} | {told.what} | {told.seconds:.1f} | {said} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
