"""Kill runs at random moments, resume them, and compare with an uninterrupted run.

Each trial starts ``focus generate``, ``train`` or ``prepare`` as a separate process, kills it with
SIGKILL up to three times (the whole process group in half of the cases, otherwise only the main
process), re-runs the same command until it finishes, and compares every file with that of an
uninterrupted run. Moments are uniform over the run's duration. So that many of them fall between
writes, every opening of a file for writing, flush to the disk, rename and removal takes --pause
longer.

A run is forked from a process that has done the imports, since otherwise three quarters of the time
would be spent on them; --fresh starts a new interpreter instead. Not compared: the column
``seconds`` of the journal, the curve plotted from it, TensorBoard's events, and the clock
(``created`` of a map file is set to one value).

50 trials of each command took 22 minutes on two cores that were busy with other work (9 minutes of
their time); with --fresh it is several times that.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from small_runs import (
    COMMANDS,
    PATIENCE,
    PAUSE,
    SMALL,
    Running,
    draw_material,
    dying,
    forked,
    import_all,
    list_session,
    list_written,
    make_small,
    read_all,
    slow_down,
    start,
    train_network,
)

POINTS = (  # command, file, which writing of it, killed before or after its rename
    ("generate", "run.json", 1, "before"),
    ("generate", "part-000002.h5", 1, "before"),
    ("generate", "out.h5", 1, "after"),
    ("train", "config.json", 1, "before"),
    ("train", "resume.safetensors", 1, "after"),
    ("train", "finished", 1, "after"),
    ("prepare", "00003.0.jpg", 3, "before"),
    ("prepare", "index.csv", 1, "before"),
)


def look(folder: Path, whole: dict[str, bytes]) -> str:
    """Name the state of a killed run: not begun, under way, half-written, or all there."""
    there = {name: data for name, data in read_all(folder).items() if not name.endswith("lock")}
    if not there:
        return "not begun"
    halves = [name for name in there if ".focus-tmp" in name]
    if halves or any(not data for name, data in there.items() if whole.get(name)):
        return "half-written"
    return "all there" if there.keys() == whole.keys() else "under way"


@dataclass
class Count:
    """Results of the trials of a command."""

    trials: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    continued: int = 0
    identical: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def row(self, command: str) -> str:
        """Return a row of the table."""
        states = ("not begun", "under way", "half-written", "all there")
        numbers = [self.trials, sum(self.kills.values()), self.groups]
        numbers += [self.kills.get(state, 0) for state in states]
        numbers += [self.continued, self.identical]
        return f"| {command} | {' | '.join(map(str, numbers))} | {self.longest:.1f} s |"


TABLE = """\
| command | trials | kills | of a group | not begun | under way | half-written | all there \
| continued | identical | workers gone after |
|---|---|---|---|---|---|---|---|---|---|---|"""


class Trials:
    """All trials of one command.

    Args:
        command: name of the command.
        place: folder with the input files.
        draw: random generator for the moments.
        fresh: start a new interpreter for every run.
        in_one: run without workers.
    """

    def __init__(
        self, command: str, place: Path, draw: random.Random, fresh: bool, in_one: bool
    ) -> None:
        self.command, self.place, self.draw, self.fresh = command, place, draw, fresh
        self.in_one = in_one
        self.count = Count()
        alone = self._make("alone")
        self.seconds = self._time(alone)
        self.whole = read_all(alone)

    def run(self) -> None:
        """Run one trial."""
        count, draw = self.count, self.draw
        name = f"trial-{count.trials}"
        folder, count.trials = self._make(name), count.trials + 1
        again, orphans = False, list[int]()
        for _ in range(draw.choice((1, 1, 2, 3))):
            running = start(self._words(again), folder, self.fresh)
            self._check_orphans(orphans, folder, name)
            if running.wait(draw.uniform(0, self.seconds)) is not None:
                break
            group = draw.random() < 0.5
            running.kill(group)
            count.groups += group
            state = look(folder, self.whole)
            count.kills[state] = count.kills.get(state, 0) + 1
            again = self._is_begun(folder)
            if draw.random() < 0.2 or self.fresh:
                self._await(running.process, name)
                orphans = []
            else:  # processes that are still alive overlap with the next run
                orphans = list_session(running.process)
        else:
            running = start(self._words(again), folder, self.fresh)
            self._check_orphans(orphans, folder, name)
        self._finish(running, folder)

    def run_point(self, name: str, turn: int, moment: str) -> None:
        """Run a trial without workers that is killed before or after a given rename."""
        count, folder = self.count, self._make(f"trial-{self.count.trials}")
        count.trials += 1
        running = start(self._words(False), folder, False, dying(name, turn, moment == "after"))
        if running.wait() != -signal.SIGKILL:
            count.wrong.append(f"{folder.name}: {name} was not written {turn} times")
            return
        state = look(folder, self.whole)
        count.kills[state] = count.kills.get(state, 0) + 1
        self._finish(start(self._words(self._is_begun(folder)), folder, False), folder)

    def _finish(self, running: Running, folder: Path) -> None:
        """Wait for the last run of a trial, and compare."""
        count, name = self.count, folder.name
        if running.wait() != 0 and not self._was_over(folder):
            said = running.log.read_text().strip().splitlines() or ["nothing"]
            count.wrong.append(f"{name}: exit code {running.code}, saying: {said[-1]}")
            return
        self._await(running.process, name)
        count.continued += 1
        if read_all(folder) == self.whole:
            count.identical += 1
            running.log.unlink()
            shutil.rmtree(folder)
        else:
            count.wrong.append(f"{name}: {self._differ(name)}")

    def _words(self, again: bool) -> list[str]:
        words = COMMANDS[self.command].split()
        if self.in_one:
            words += ["--workers", "0"]
        return [*words, "--resume"] if again and self.command == "train" else words

    def _is_begun(self, folder: Path) -> bool:
        return (folder / "out" / "config.json").exists()

    def _was_over(self, folder: Path) -> bool:
        """Return whether a training refused to resume because it had finished before the kill."""
        return (
            self.command == "train"
            and "holds a finished run" in folder.with_name(f"{folder.name}.log").read_text()
        )

    def _make(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir()
        return folder

    def _time(self, folder: Path) -> float:
        begin = time.monotonic()
        running = start(self._words(False), folder, self.fresh)
        if running.wait() != 0:
            raise SystemExit(f"{self.command}: does not run\n{running.log.read_text()}")
        return time.monotonic() - begin

    def _await(self, leader: int, name: str) -> None:
        """Wait until all processes of a run have ended."""
        begin = time.monotonic()
        while alive := list_session(leader):
            if time.monotonic() - begin > PATIENCE:
                self.count.wrong.append(f"{name}: {len(alive)} workers outlive it")
                return
            time.sleep(0.02)
        self.count.longest = max(self.count.longest, time.monotonic() - begin)

    def _check_orphans(self, orphans: list[int], folder: Path, name: str) -> None:
        time.sleep(0.1 if orphans else 0)
        for process in orphans:
            for path in list_written(process, folder):
                self.count.wrong.append(f"{name}: a worker of the killed run still writes {path}")

    def _differ(self, name: str) -> str:
        there = read_all(self.place / name)
        names = sorted(there.keys() | self.whole.keys())
        return ", ".join(
            f"{'more' if n not in self.whole else 'lost' if n not in there else 'other'}: {n}"
            for n in names
            if there.get(n) != self.whole.get(n)
        )


def main() -> int:
    """Create the input files, run all trials, print the table; return 1 if any trial failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--command", nargs="+", default=[*COMMANDS], choices=COMMANDS)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.008, help="seconds, see above")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--points", action="store_true", help="chosen moments, not random ones")
    parser.add_argument("--folder", help="keep differing files here")
    given = parser.parse_args()
    os.environ.update({PAUSE: str(given.pause), SMALL: "1", "OMP_NUM_THREADS": "1"})
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(given.folder or scratch).resolve()
        place.mkdir(parents=True, exist_ok=True)
        with forked() as child:
            if child:
                draw_material(place)
                train_network(place)
        import_all()
        make_small()
        slow_down(given.pause)
        wrong = []
        print(TABLE, flush=True)
        for command in given.command:
            there = place / command
            there.mkdir()
            for name in ("faces", "clips", "run"):
                (there / name).symlink_to(place / name)
            draw = random.Random(f"{command} {given.seed}")
            trials = Trials(command, there, draw, given.fresh, given.points)
            for _ in range(0 if given.points else given.count):
                trials.run()
            for point in POINTS if given.points else ():
                if point[0] == command:
                    trials.run_point(*point[1:])
            print(trials.count.row(command), flush=True)
            wrong += [f"{command} {line}" for line in trials.count.wrong]
        print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
