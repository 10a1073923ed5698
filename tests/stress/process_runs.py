"""The processes of a distributed run: forked as by srun, or started by torchrun, and their main."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

PATIENCE = 300.0
FORK = multiprocessing.get_context("fork")


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
            place += [str(Path(__file__).resolve()), *self.arguments]
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
        while any(is_there(pid) for pid in pids) and time.monotonic() - began < PATIENCE:
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


def is_there(pid: int) -> bool:
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


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1:]))
