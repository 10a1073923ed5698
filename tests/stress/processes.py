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
import csv
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from process_runs import FORK, Run, is_there
from safetensors.numpy import load_file

SHORT = 10.0  # timeout in seconds for a hanging process, instead of ten minutes
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
        gone = not any(is_there(pids[rank]) for rank in others)
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


def main() -> None:
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
