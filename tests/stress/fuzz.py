"""Fuzz FoCus's readers with damaged files of every kind that it reads.

Small intact files are made here and damaged at random from a seed: bits flipped, spans zeroed, cut,
inserted, doubled or taken from another file, sizes set to 0 or 2**32 - 1, tokens and JSON values
replaced. Each is read in a child process. It must be read correctly or refused in one clear line. A
finding is anything else: another error, a crash, more than 10 s of CPU time, more than 1.5 GiB of
memory, or any output on the terminal.

Warnings that libjpeg and libpng print directly ("noisy") are counted and are not findings.

Prints a row per kind; exits with 1 if there is a finding. 20,000 files take 90 seconds.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import torch
from fuzzing.kinds import KINDS, Seeds, make_seeds
from fuzzing.readers import FaultError

CPU_SECONDS, WALL_SECONDS = 10, 120
MEMORY = 3 << 29  # above the memory of the process at its start
ADDRESSES = 4 << 30
BATCH = 400
DECODERS = (
    b"libpng ",
    b"Corrupt JPEG",
    b"Inconsistent progr",
    b"Invalid SOS",
    b"Warning: unknown JFIF",
)


@dataclass
class Tally:
    """Results of the files of a kind."""

    files: int = 0
    read: int = 0
    refused: int = 0
    noisy: int = 0
    """Files for which an image decoder wrote to the terminal directly, bypassing Python."""
    slowest: float = 0.0
    """CPU milliseconds."""
    peak: int = 0
    """Peak memory in bytes above that at the start."""
    findings: list[str] = field(default_factory=list)


def main() -> int:
    """Fuzz, print the table and the findings; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="files, over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--keep", type=Path, help="folder for the files of findings")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    weights = {name: KINDS[name].weight for name in options.kinds}
    counts = {n: math.ceil(options.count * w / sum(weights.values())) for n, w in weights.items()}
    print(f"{'kind':16}{'files':>7}{'read':>7}{'refused':>9}{'noisy':>7}{'findings':>10}", end="")
    print(f"{'slowest ms':>12}{'peak MiB':>10}")
    total = Tally()
    for name, count in counts.items():
        tally = fuzz(name, count, options.seed, options.keep)
        _print_row(name, tally)
        total.files, total.read = total.files + tally.files, total.read + tally.read
        total.refused += tally.refused
        total.noisy += tally.noisy
        total.slowest = max(total.slowest, tally.slowest)
        total.peak = max(total.peak, tally.peak)
        total.findings += tally.findings
    _print_row("all", total)
    for finding in total.findings:
        print(finding)
    return 1 if total.findings else 0


def fuzz(name: str, count: int, seed: int, keep: Path | None = None) -> Tally:
    """Damage ``count`` files of a kind and read them."""
    tally, seeds = Tally(), make_seeds(name)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        number = -len(seeds.files)  # the intact files come first
        while number < count:
            number = _run_child(name, number, count, seed, seeds, Path(scratch), tally, keep)
    return tally


def _run_child(
    name: str,
    first: int,
    count: int,
    seed: int,
    seeds: Seeds,
    scratch: Path,
    tally: Tally,
    keep: Path | None,
) -> int:
    """Read files in a child, starting at a number; return the number to continue from."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    stop = min(count, first + BATCH)
    child = context.Process(target=_read_all, args=(name, first, stop, seed, seeds, scratch, there))
    child.start()
    there.close()
    number = first
    while number < stop:
        try:
            if not here.poll(WALL_SECONDS):
                fault, report = f"hangs: {WALL_SECONDS} s", None
                child.kill()
            else:
                fault, report = "", here.recv()
        except EOFError:
            child.join()
            fault, report = _describe_end(child.exitcode), None
        if report is not None:
            fault = _count(report, tally)
        elif number >= 0:
            tally.files += 1
        if fault:
            tally.findings.append(f"{name} {number}: {fault}")
            if keep is not None:
                _keep(scratch / str(number), keep / f"{name} {number}".replace(" ", "-"), fault)
        shutil.rmtree(scratch / str(number), ignore_errors=True)
        number += 1
        if report is None:
            break
    here.close()
    child.join()
    return number


def _count(report: tuple[int, str, float, int, bool, str], tally: Tally) -> str:
    """Count the result of a file; return the finding, or empty text."""
    number, outcome, slowest, peak, noisy, fault = report
    if number < 0:
        return fault or ("" if outcome == "read" else "a whole file is refused")
    tally.files += 1
    tally.read += outcome == "read"
    tally.refused += outcome == "refused"
    tally.noisy += noisy
    tally.slowest, tally.peak = max(tally.slowest, slowest), max(tally.peak, peak)
    return fault


def _describe_end(code: int | None) -> str:
    if code is not None and code < 0:
        cause = signal.Signals(-code).name
        return f"hangs: {CPU_SECONDS} s of CPU time" if cause == "SIGXCPU" else f"dies of {cause}"
    return f"ends the process with {code}"


def _keep(folder: Path, target: Path, fault: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    (target / "FINDING.txt").write_text(fault + "\n", encoding="utf-8", errors="replace")


def _read_all(
    name: str, first: int, stop: int, seed: int, seeds: Seeds, scratch: Path, to: Connection
) -> None:
    """Read files in this process and report each; intact files have negative numbers."""
    ear = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
    for stream in (1, 2):
        os.dup2(ear.fileno(), stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + ADDRESSES,) * 2)
    kind, start = KINDS[name], _status("VmRSS")
    for number in range(first, stop):
        rng = Random(f"{seed} {name} {number}")
        data = kind.draw(rng, seeds.files) if number >= 0 else seeds.files[number]
        folder = scratch / str(number)
        for part, content in {**seeds.beside, kind.file: data}.items():
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).write_bytes(content)
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + CPU_SECONDS, -1))
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        outcome, fault = _read(kind.read, folder / kind.file)
        milliseconds = 1000 * (time.process_time() - used)
        peak = max(_status("VmHWM") - start, 0)
        if not fault and peak > MEMORY:
            fault = f"takes {peak >> 20} MiB"
        ctypes.CDLL(None).fflush(None)
        said = _drain(ear.fileno()).splitlines()
        if strange := [line for line in said if not line.startswith(DECODERS)]:
            fault = fault or f"prints {strange[:3]!r}"
        to.send((number, outcome, milliseconds, peak, bool(said), fault))
    os._exit(0)


def _read(read: object, path: Path) -> tuple[str, str]:
    """Return the result of a file, and the finding."""
    assert callable(read)
    try:
        return ("read" if read(path) else "refused"), ""
    except FaultError as fault:
        return "fault", str(fault)
    except BaseException as error:
        trace, place = error.__traceback__, ""
        while trace is not None:
            code = trace.tb_frame.f_code
            if "/focus/" in code.co_filename or "/evaluator/" in code.co_filename:
                place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        return "fault", f"{type(error).__name__} at {place}: {' '.join(repr(error)[:300].split())}"


def _status(name: str) -> int:
    """Return a memory figure of this process in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))


def _drain(file: int) -> bytes:
    size = os.fstat(file).st_size
    found = os.pread(file, size, 0)
    if size:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
    return found


def _print_row(name: str, tally: Tally) -> None:
    print(f"{name:16}{tally.files:7}{tally.read:7}{tally.refused:9}{tally.noisy:7}", end="")
    print(f"{len(tally.findings):10}{tally.slowest:12.0f}{tally.peak / 2**20:10.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
