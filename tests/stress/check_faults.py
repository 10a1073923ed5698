"""Check runs on a full or read-only disk, beside a second run, and under signals.

Every fault must end in one clear line and an exit code, leave no process behind, and lose nothing:
the same command, re-run once the fault is fixed, must produce the files of an uninterrupted run.
Five kinds, one table each:

disk     the disk is full after a part of the command's output (as root: a tmpfs of that size)
places   --out is read-only (as root: a tmpfs), a file in place of a folder or the reverse, or a
         path below a file
second   the same command is started while the first is running
signals  Ctrl-C or SIGTERM to all processes at random moments, or SIGKILL to a worker
start    Ctrl-C while a new interpreter imports

Takes about 25 minutes on two busy cores, most of it for disk and signals.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from small_runs import (
    COMMANDS,
    PATIENCE,
    SMALL,
    Program,
    Running,
    draw_material,
    forked,
    import_all,
    list_session,
    make_small,
    read_all,
    start,
    train_network,
)

from evaluator.cli import main as evaluator
from focus.cli import main as focus

ALL = {
    **COMMANDS,
    "forge": "forge --data ../faces/index.csv --out out --workers 0 --quiet",
    "run": "run --data ../faces/index.csv --out out --model focus --steps 4 --batch 4"
    " --validate-every 2 --workers 1 --draws 20 --device cpu --quiet --options encoder=resnet10t"
    " encoder_weights=none image_size=64 stage=2 output_stride=8",
    "merge": "merge ../shard-1.h5 ../shard-2.h5 --out out.h5",
    "view": "view ../whole.h5 --data ../faces/index.csv --out out.html --quiet",
    "doctor": "doctor --data ../faces/index.csv --json out.json --quick --workers 0",
    "index": "index --data ../faces --out out.csv",
    "export": "export ../run --out out.onnx",
}
LONG = ("generate", "train", "prepare", "forge", "run")
SHARES = (0.02, 0.2, 0.4, 0.6, 0.8, 0.97)
MOMENTS = 12
EVALUATOR = ("run",)


def program(command: str) -> Program:
    """Return the program of a command: focus or evaluator."""
    return evaluator if command in EVALUATOR else focus


class Bench:
    """A folder with the input files, and the output of each undisturbed command."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.draw = place, random.Random(seed)
        self.whole: dict[str, dict[str, bytes]] = {}
        self.seconds: dict[str, float] = {}
        self.faults = 0

    def measure(self, command: str) -> None:
        """Run a command once, undisturbed."""
        if command in self.whole:
            return
        folder = self.place / f"{command}-alone"
        folder.mkdir()
        begin = time.monotonic()
        running = self.start(command, folder)
        if running.wait(300) not in (0, 1):
            raise SystemExit(f"{command}: does not run\n{running.log.read_text()}")
        self.seconds[command] = time.monotonic() - begin
        self.whole[command] = read_all(folder)

    def start(self, command: str, folder: Path) -> Running:
        """Start a command in a folder; resume a training that has started."""
        words = ALL[command].split()
        if command == "train" and (folder / "out/config.json").exists():
            words.append("--resume")
        folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
        return start(words, folder, False, program(command))

    def ends_alike(self, command: str, folder: Path) -> bool:
        """Run a command (again); return whether its files equal those of an undisturbed run."""
        running = self.start(command, folder)
        if running.wait(300) not in (0, 1):
            return "holds a finished run" in running.log.read_text()
        return equal(read_all(folder), self.whole[command])

    def report(self, *cells: object, good: bool) -> None:
        """Print a row of the table."""
        self.faults += not good
        print(f"| {' | '.join(map(str, cells))} | {'yes' if good else 'NO'} |", flush=True)


def equal(there: dict[str, bytes], whole: dict[str, bytes]) -> bool:
    """Compare two folders; a page may contain the path of its folder."""
    return there.keys() == whole.keys() and all(
        data == whole[name] or name.endswith((".html", ".json", ".onnx"))
        for name, data in there.items()
    )


def last_line(running: Running) -> tuple[str, bool]:
    """Return the last output, and whether it is a single line in the form of an error."""
    text = running.log.read_text()
    lines = [line for line in text.splitlines() if line.strip()]
    faults = [line for line in lines if re.match(r"(focus|evaluator) \w+: ", line)]
    others = [line for line in lines if line not in faults and not line.startswith("  ")]
    is_one = len(faults) == 1 and "Traceback" not in text and len(others) <= 1
    return (faults or lines or ["nothing"])[-1].replace("|", "/"), is_one


@contextlib.contextmanager
def disk(folder: Path, kilobytes: int) -> Iterator[Callable[[str], None]]:
    """Mount a small disk on a folder; yield a function that changes its options."""
    folder.mkdir()
    size = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], check=True)

    def change(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)

    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


def fill_disks(bench: Bench) -> None:
    """Run each command on a disk that is full after a part of its output."""
    print("\n| command | room | exit code | last line | resumes, nothing lost |")
    print("|---|---|---|---|---|")
    for command in ALL:
        bench.measure(command)
        need = sum(-(-len(data) // 4096) * 4 for data in bench.whole[command].values())
        # The parts; the state to resume from.
        need *= {"generate": 5, "train": 2, "run": 2}.get(command, 1)
        for share in SHARES if command in LONG else SHARES[:1]:
            room = max(int(need * share), 8)
            folder = bench.place / f"{command}-disk"
            with disk(folder, room) as change:
                running = bench.start(command, folder)
                code = running.wait(300)
                line, is_one = last_line(running)
                line = line.replace(str(folder), "")
                if code == 0:
                    bench.report(command, f"{room} KiB", 0, "fits", good=True)
                    continue
                change("size=256m")
                left = [name for name in read_all(folder) if ".focus-tmp" in name]
                good = code == 2 and is_one and not left and bench.ends_alike(command, folder)
                bench.report(command, f"{room} KiB", code, line, good=good)


def spoil_places(bench: Bench) -> None:
    """Run each command with an output path that cannot be written."""
    print("\n| command | --out | exit code | last line | one line |\n|---|---|---|---|---|")
    for command, words in ALL.items():
        out = re.findall(r"--(?:out|json) (\S+)", words)[0]
        folder = bench.place / f"{command}-place"
        for what in ("read-only", "below a file", "a folder" if "." in out else "a file"):
            with disk(folder, 16384) as change:
                log = bench.place.with_name(f"{bench.place.name}.log")
                log.unlink(missing_ok=True)
                target = folder / out
                if what == "below a file":
                    (folder / "file").write_text("kept")
                    target = folder / "file" / out
                elif what == "a folder":
                    (target / "mine").mkdir(parents=True)
                elif what == "a file":
                    target.write_text("kept")
                else:
                    change("ro")
                given = re.sub(rf" {re.escape(out)}(?= |$)", f" {target}", words)
                given = given.replace("../", "")
                running = start(given.split(), bench.place, False, program(command))
                code = running.wait(300)
                line, is_one = last_line(running)
                line = line.replace(str(bench.place), "")
                bench.report(command, what, code, line, good=code == 2 and is_one)


def start_twice(bench: Bench) -> None:
    """Start a command while the first is running."""
    print("\n| command | second: exit code | its line | first ends alike |\n|---|---|---|---|")
    for command in filter(ALL.__contains__, LONG):
        bench.measure(command)
        folder = bench.place / f"{command}-twice"
        folder.mkdir()
        first = bench.start(command, folder)
        while first.poll() is None and not list(folder.glob("out*/*")):
            time.sleep(0.005)
        os.kill(first.process, signal.SIGSTOP)
        said = first.log.read_text()
        words = ALL[command].split() + ["--resume"] * (command == "train")
        second = start(words, folder, False, program(command))
        code = second.wait(300)
        line = first.log.read_text().removeprefix(said).strip()
        os.kill(first.process, signal.SIGCONT)
        first.wait(300)
        good = code == 2 and "\n" not in line and "another run is writing" in line
        good = good and equal(read_all(folder), bench.whole[command])
        bench.report(command, code, line, good=good)


def send_signals(bench: Bench) -> None:
    """Stop runs at random moments, and kill workers."""
    print("\n| command | signal | moments | orderly | ended before | last line | resumes |")
    print("|---|---|---|---|---|---|---|")
    for command in filter(ALL.__contains__, LONG):
        bench.measure(command)
        for number in (signal.SIGINT, signal.SIGTERM):
            ends = [_stop(bench, command, number, turn) for turn in range(MOMENTS)]
            stopped = [end for end in ends if end[0] == 130]
            early = sum(end[0] in (0, 1) for end in ends)
            wrong = [end for end in ends if end[0] not in (0, 1, 130) or not end[2]]
            line = (wrong or stopped or ends)[0][1]
            cells = (command, number.name, len(ends), len(stopped), early, line)
            bench.report(*cells, good=not wrong)
        if "--workers 1" in ALL[command] or "--workers 2" in ALL[command]:
            code, line, good = _kill_worker(bench, command)
            bench.report(command, "a worker killed", 1, int(code == 2), 0, line, good=good)


def _stop(bench: Bench, command: str, number: signal.Signals, turn: int) -> tuple[int, str, bool]:
    """Signal all processes of a run; return exit code, last line, and whether it passed."""
    folder = bench.place / f"{command}-{number.name}-{turn}"
    folder.mkdir()
    running = bench.start(command, folder)
    if running.wait(bench.draw.uniform(0.1, bench.seconds[command])) is None:
        os.killpg(running.process, number)
    code = running.wait(60)
    line, is_one = last_line(running)
    gone = _wait_for_end(running.process)
    good = (code in (0, 1) or is_one) and gone and bench.ends_alike(command, folder)
    if good:
        shutil.rmtree(folder)
    return -1 if code is None else code, line, good


def interrupt_imports(bench: Bench) -> None:
    """Send SIGINT while a new interpreter imports the package."""
    print("\n| start | exit codes | lines other than the one | good |\n|---|---|---|---|")
    for module, words in (("focus", ALL["train"]), ("evaluator", ALL["run"])):
        codes, others = list[int](), set[str]()
        for turn in range(2 * MOMENTS):
            folder = bench.place / f"{module}-import-{turn}"
            folder.mkdir()
            command = [sys.executable, "-m", module, *words.split()]
            child = subprocess.Popen(
                command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            time.sleep(bench.draw.uniform(0.2, 5))
            os.killpg(child.pid, signal.SIGINT)
            said = child.communicate(timeout=60)[1].strip()
            codes.append(child.returncode)
            if not re.fullmatch(rf"{module} \w+: .*", said) and child.returncode:
                others.add(f"{turn}: {said[-200:]}")
        found = {code: codes.count(code) for code in sorted(set(codes))}
        bench.report(module, found, "; ".join(others), good=not others)


def _kill_worker(bench: Bench, command: str) -> tuple[int | None, str, bool]:
    folder = bench.place / f"{command}-worker"
    folder.mkdir()
    running = bench.start(command, folder)
    while running.poll() is None:
        workers = [p for p in list_session(running.process) if p != running.process]
        if command == "prepare":
            workers = list(filter(_is_spawned, workers))
        if workers and any(folder.glob("out*/*")):
            os.kill(workers[-1], signal.SIGKILL)
            break
        time.sleep(0.01)
    code = running.wait(60)
    line, is_one = last_line(running)
    gone = _wait_for_end(running.process)
    return code, line, code == 2 and is_one and gone and bench.ends_alike(command, folder)


def _is_spawned(process: int) -> bool:
    """Return whether a process is a worker, not the process that tracks semaphores."""
    with contextlib.suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def _wait_for_end(leader: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while list_session(leader) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not list_session(leader)


def draw_more(place: Path) -> None:
    """Create the additional input files of the shorter commands."""
    draw_material(place)
    if ALL.keys() <= {"train", "prepare", "forge", "run"}:
        return
    train_network(place)
    words = COMMANDS["generate"].replace("../", "").replace("--workers 2", "--workers 0")
    for out, share in (("shard-1.h5", "1/2"), ("shard-2.h5", "2/2"), ("whole.h5", "")):
        given = words.replace("out.h5", out).split() + ["--shard", share] * bool(share)
        if focus(given):
            raise SystemExit("the maps could not be made")


KINDS = {
    "disk": fill_disks, "places": spoil_places, "second": start_twice, "signals": send_signals,
    "start": interrupt_imports,
}  # fmt: skip


def main() -> int:
    """Create the input files, try all faults, and return 1 if any check failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", nargs="+", default=[*KINDS], choices=KINDS)
    parser.add_argument("--only", nargs="+", default=[*ALL], choices=ALL, help="commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="keep the files of failed checks here")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    for command in set(ALL) - set(given.only):
        del ALL[command]
    os.environ.update({SMALL: "1", "OMP_NUM_THREADS": "1"})
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(given.folder or scratch).resolve() / "bench"
        place.mkdir(parents=True, exist_ok=True)
        with forked() as child:
            if child:
                draw_more(place)
        if ALL.keys() - {"forge"}:
            import_all()
        make_small()
        bench = Bench(place, given.seed)
        for kind in given.kind:
            if kind in ("disk", "places") and os.geteuid():
                print(f"\n{kind}: left out, since only root can mount a disk")
                continue
            KINDS[kind](bench)
    return bool(bench.faults)


if __name__ == "__main__":
    sys.exit(main())
