"""Small runs on small input files, started and compared by kill_runs and check_faults.

As a script, this is ``focus`` with the settings of two environment variables.
"""

from __future__ import annotations

import builtins
import contextlib
import csv
import functools
import importlib
import io
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from focus.cli import main as focus
from focus.data.cropping import FaceBox

Program = Callable[[list[str]], int]
PAUSE, SMALL = "KILL_RUNS_PAUSE", "KILL_RUNS_SMALL"
PATIENCE = 30.0  # seconds that a worker may outlive the main process: it may still be importing
TINY = "--encoder test_vit --encoder-weights none --image-size 32 --stage -1"
COMMANDS = {
    "generate": "generate --data ../faces/index.csv --weights ../run --out out.h5 --parts"
    " --batch 4 --workers 2 --device cpu --quiet",
    "train": f"train --data ../faces/index.csv --out out {TINY} --steps 6 --batch 4"
    " --validate-every 2 --workers 1 --device cpu --quiet",
    "prepare": "prepare --data ../clips/list.csv --out out --frames 3 --workers 2 --quiet",
}
UNEQUAL = ("curve.png", "tensorboard")


# Inside a run


class SquareDetector:
    """Detects bright squares as faces, so that no weights are needed."""

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        bright = (image.min(axis=2) > 150).astype(np.uint8)
        found = cv2.connectedComponentsWithStats(bright)[2][1:]
        return [FaceBox(x, y, x + w, y + h, 0.9) for x, y, w, h, area in found.tolist() if area > 9]


def make_small() -> None:
    """Shorten runs: segments of six faces, a detector without weights, and a fixed clock."""
    from focus.data.prepare import running

    vars(running)["open_face_detector"] = lambda *_: SquareDetector()
    if sys.argv[0] == "-c" or sys.modules["__main__"].__name__ != "__main__":
        return  # a worker of prepare: it needs neither torch nor the rest
    import focus.generation.command as generation
    from focus.mapstore import merging, rows

    vars(generation)["generate"] = functools.partial(vars(generation)["generate"], part_rows=6)
    rows.now = merging.now = lambda: "2000-01-01T00:00:00+00:00"  # type: ignore[attr-defined]


def import_all() -> None:
    """Import everything that runs need, so that forked runs start at once."""
    for name in ("accelerate", "matplotlib.figure", "timm", "tensorboard.compat.proto.event_pb2"):
        importlib.import_module(name)
    for name in ("focus.training.command", "focus.generation", "focus.generators.focus"):
        importlib.import_module(name)


def dying(name: str, turn: int, after: bool) -> Program:
    """Return a program that dies when it writes a given file for the n-th time."""

    def program(words: list[str]) -> int:
        replace, seen = os.replace, 0

        def counted(source: Any, target: Any) -> None:
            nonlocal seen
            seen += Path(target).name == name
            if seen == turn and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
            if seen == turn:
                os.kill(os.getpid(), signal.SIGKILL)

        vars(os)["replace"] = counted
        return focus(words)

    return program


def slow_down(seconds: float) -> None:
    """Prolong the moments around every write."""

    def later(call: Callable[..., Any], after: bool = False) -> Callable[..., Any]:
        @functools.wraps(call)
        def slowed(*given: Any, **named: Any) -> Any:
            if not after:
                time.sleep(seconds)
            result = call(*given, **named)
            time.sleep(seconds)
            return result

        return slowed

    opening = io.open

    def open_slowly(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        opened = opening(file, mode, *rest, **named)
        # TensorBoard opens its file for every event.
        if not set(mode).isdisjoint("wax") and "tfevents" not in str(file):
            time.sleep(seconds)
        return opened

    io.open = builtins.open = open_slowly
    os.replace, os.fsync = later(os.replace), later(os.fsync)
    os.unlink = later(os.unlink, after=True)


if PAUSE in os.environ:
    slow_down(float(os.environ[PAUSE]))
if SMALL in os.environ:
    make_small()


# Around a run


@dataclass
class Running:
    """A running command; its process leads a session, which identifies its workers."""

    process: int
    log: Path
    child: subprocess.Popen[bytes] | None = None
    code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.code is None and self.child is not None:
            self.code = self.child.poll()
        elif self.code is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if process else None
        return self.code

    def wait(self, seconds: float = 120) -> int | None:
        """Return the exit code, None if it still runs after ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.code

    def kill(self, group: bool) -> None:
        """End the main process, or all of the group at once."""
        (os.killpg if group else os.kill)(self.process, signal.SIGKILL)
        self.wait()


def start(words: list[str], folder: Path, fresh: bool, program: Program = focus) -> Running:
    """Start a command in a folder, in a new session."""
    log = folder.with_name(f"{folder.name}.log")
    if fresh:
        command = [sys.executable, __file__, *words]
        with log.open("ab") as file:
            nowhere = subprocess.DEVNULL
            child = subprocess.Popen(
                command, cwd=folder, stdout=nowhere, stderr=file, start_new_session=True
            )
        return Running(child.pid, log, child)
    process = os.fork()
    if process:
        return Running(process, log)
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(output, 2)
        code = program(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def list_session(leader: int) -> list[int]:
    """Return the processes of a session that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state = (entry / "stat").read_text().rpartition(") ")[2].split()
            if int(state[3]) == leader and state[0] not in "ZX":
                found.append(int(entry.name))
    return found


def list_written(process: int, folder: Path) -> list[str]:
    """Return the files below a folder that a process has open for writing."""
    found = []
    for handle in Path(f"/proc/{process}/fd").glob("*"):
        with contextlib.suppress(OSError):
            target, flags = os.readlink(handle), Path(f"/proc/{process}/fdinfo/{handle.name}")
            mode = int(re.findall(r"flags:\s+(\d+)", flags.read_text())[0], 8) & os.O_ACCMODE
            own = target.startswith(f"{folder}/") and not target.endswith("lock")
            if own and mode != os.O_RDONLY:
                found.append(target)
    return found


def read_all(folder: Path) -> dict[str, bytes]:
    """Return the output of a run (file below the folder -> bytes) without its timings."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            continue
        if any(part in UNEQUAL for part in path.relative_to(folder).parts):
            files[name if path.name in UNEQUAL else "tensorboard"] = b""
        elif path.name == "journal.csv":
            with path.open(newline="") as file:
                rows = [
                    {k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)
                ]
            files[name] = repr(rows).encode()
        else:
            files[name] = path.read_bytes()
    return files


# Material


def draw_material(place: Path) -> None:
    """Draw faces and clips."""
    from focus.data.demo import DemoConfig, write_demo_corpus

    write_demo_corpus(place / "faces", DemoConfig(people=10, images_per_person=2, size=64), True)
    write_clips(place / "clips")


def train_network(place: Path) -> None:
    """Train the network for ``generate``."""
    words = f"train --data faces/index.csv --out run {TINY} --steps 4 --batch 8 --validate-every 4"
    os.chdir(place)
    if focus([*words.split(), "--workers", "0", "--quiet", "--device", "cpu"]):
        raise SystemExit("the network could not be trained")


def write_clips(folder: Path) -> None:
    """Write six clips of a moving square, half of them forged, with masks and originals."""
    from focus.data.index import Face, FaceIndex

    rows = []
    for number in range(6):
        forged = number % 2
        kind = ("real", "fake")[forged]
        images = np.full((6, 48, 64, 3), 40 + 20 * forged, np.uint8)
        masks = np.zeros_like(images)
        for frame in range(6):
            left = 8 + frame + 6 * forged
            images[frame, 12:28, left : left + 16] = 230 - number
            masks[frame, 12:28, left : left + 8] = 255
        _write_clip(folder / f"{kind}/{number}.mp4", images)
        row = Face(f"{kind}/{number}.mp4", forged, "test", video=str(number))
        if forged:
            _write_clip(folder / f"masks/{number}.mp4", masks)
            row = Face(
                row.path, 1, "test", "swap", str(number), f"masks/{number}.mp4",
                f"real/{number - 1}.mp4",
            )  # fmt: skip
        rows.append(row)
    FaceIndex.of(rows, folder).write(folder / "list.csv")


def _write_clip(path: Path, images: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    for image in images:
        writer.write(image)
    writer.release()


@contextlib.contextmanager
def forked() -> Iterator[bool]:
    """Run a block in a child, so that no library starts threads in this process."""
    process = os.fork()
    if process:
        yield False
        if os.waitpid(process, 0)[1]:
            raise SystemExit("the material could not be made")
        return
    code = 1
    try:
        yield True
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(focus(sys.argv[1:]))
