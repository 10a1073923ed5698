"""The processes of one run watch each other: when one falls, the others end, in one line.

A process that waits for another in a collective waits for ever, or until a library gives up with a
page of its own. So each process tells the others every second that it lives, and leaves them its
last line when it cannot go on. The rest see

- a line that was left: at once;
- a process of this machine that is gone (killed, out of memory): within a second or two;
- one that stands still, on any machine: after :data:`SILENCE` seconds;
- the machine of process 0 gone: at once if it says so, else after the same time;

and end themselves, whatever their main thread waits for. One process of each machine says why.

They talk through the store by which PyTorch's processes found each other (``MASTER_ADDR`` and
``MASTER_PORT``): no further port. Nothing here is imported or started in a run of one process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from types import FrameType
from typing import Any

from focus.processes.members import (
    Member,
    Verdict,
    end_process,
    is_there,
    name_machine,
    name_node,
    read_verdict,
)

SILENCE = 45
"""Seconds without a sign after which a process counts as fallen. A long stretch of one C function
that keeps the interpreter to itself gives no sign either: the environment variable FOCUS_SILENCE
sets another number."""
ARRIVAL = 600  # seconds for a process to give its first sign
DOUBT = 10  # seconds of silence that are enough once a connection has broken
TICK = 1.0
LINGER = 2.5  # seconds in which the others read the last line of a process
_DONE = "done"
_KEPT = "the others stop, and what was finished is kept"
_BROKEN = re.compile(r"^Dist|gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe", re.I)


class Watch:
    """One process's part in the watch: a courier to the store, and a judge who ends the process.

    Args:
        program: stands before the line, as in ``focus train``.
        rank, size: of this process, and how many there are.
        place: host and port of the store.
    """

    def __init__(self, program: str, rank: int, size: int, place: tuple[str, int]) -> None:
        self.program, self.size, self._place = program, size, place
        self.me = Member(rank, socket.gethostname(), os.getpid(), name_machine())
        self.silence = float(os.environ.get("FOCUS_SILENCE", SILENCE))
        self.verdict: Verdict | None = None
        self._store: Any = None
        self._ready, self._closing = threading.Event(), threading.Event()
        self._rounds = 0  # of the courier, so that the judge sees a store that is mute
        self._lost = ""
        self._doubt = self._told = False
        self._ages: dict[int, tuple[str, int]] = {}  # rank -> last beat, seconds since it came
        self._near: dict[int, Member] | None = None  # the others on this machine
        self._code: int | None = None  # with which the main thread is about to end
        local = int(os.environ.get("LOCAL_WORLD_SIZE", 0))
        self._hosts = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        self._lingers = self._hosts or local != size

    def start(self) -> None:
        """Begin to give signs and to look for those of the others."""
        from multiprocessing.util import Finalize  # in most commands nothing else needs it

        threads = (("watch-courier", self._carry), ("watch-judge", self._judge))
        for name, work in threads:
            threading.Thread(target=work, name=name, daemon=True).start()
        # At the end of a program, and of a child of multiprocessing, which has no atexit.
        Finalize(None, self.close, exitpriority=100)
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._on_terminate)

    def report(self, line: str, code: int, named: bool = True) -> str:
        """Leave the others the last line of this process; return what to print, if anything.

        Another process may have fallen before, and this one in consequence: then its line is said.

        Args:
            line: why this process ends.
            code: with which all processes end.
            named: say which process it is.
        """
        self._code = code
        line = f"{self.me}: {line}" if named else line
        if not self._ready.wait(self.silence):
            return line
        try:
            verdict = self._agree(Verdict(self.me.rank, line, code))
            return verdict.line if self._store.add(f"voice/{name_node()}", 1) == 1 else ""
        except RuntimeError:
            return line

    def settle(self, error: BaseException) -> None:
        """Wait for the judge, who ends this process, if ``error`` is of a broken connection.

        Any other error is this process's own, and is left to the others as its last line.
        """
        if isinstance(error, RuntimeError) and _BROKEN.search(f"{type(error).__name__} {error}"):
            self._doubt = True
            with contextlib.suppress(RuntimeError):
                self._store.set("doubt", "1")
            time.sleep(2 * DOUBT)
        first = (str(error).splitlines() or [""])[0]
        self.report(f"{type(error).__name__}: {first}", 1)

    def stop_at(self, step: int, wanted: bool, ahead: int) -> bool:
        """Say whether all processes stop before ``step``.

        The first that wants to names a step that none has begun: ``ahead`` of its own.
        """
        self._ready.wait(self.silence)
        if wanted and not self._store.check(["stop"]):
            self._store.compare_set("stop", "", str(step + ahead))
        return self._store.check(["stop"]) and step >= int(self._store.get("stop"))

    def meet(self, name: str) -> None:
        """Let the others wait until process 0 has come here, :data:`SILENCE` seconds at most."""
        self._ready.wait(self.silence)
        if self.me.rank == 0:
            self._store.set(name, "1")
        waited = 0.0
        while not self._store.check([name]) and waited < self.silence:
            time.sleep(0.1)
            waited += 0.1

    def ended(self) -> bool:
        """Say whether all others have done their work and gone."""
        others = [f"beat/{rank}" for rank in range(self.size) if rank != self.me.rank]
        return self._store.check(others) and all(
            beat == _DONE.encode() for beat in self._store.multi_get(others)
        )

    def close(self) -> None:
        """Tell the others that this process has done its work, or that it fell."""
        if os.getpid() != self.me.pid:
            return
        fault = getattr(sys, "last_value", None) or sys.exc_info()[1]
        if self._code is None and isinstance(fault, Exception):
            self.settle(fault)
        self._closing.set()
        if self._ready.is_set():
            # In a thread of its own: a store on a machine that hangs never answers.
            marking = threading.Thread(target=self._leave_mark, daemon=True)
            marking.start()
            marking.join(self.silence)
        if self._code is not None:  # the libraries' own ends wait for processes that are gone
            if self._lingers:
                time.sleep(LINGER)
            end_process(self._code)

    def _leave_mark(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._store.set(f"beat/{self.me.rank}", _DONE)
            self._store.get(f"beat/{self.me.rank}")  # the answer says that it came
            while self._code is None and self._hosts and not self.ended():
                time.sleep(0.1)  # the others cannot say that they are done without the store

    def _carry(self) -> None:
        """Give signs, and look for those of the others."""
        try:
            self._store = self._connect()
            self._store.set(f"who/{self.me.rank}", json.dumps(self.me))
            self._ready.set()
            while not self._closing.is_set():
                self._store.set(f"beat/{self.me.rank}", str(self._rounds))
                if self._store.check(["verdict"]):
                    self.verdict = read_verdict(self._store.get("verdict"))
                self._doubt = self._doubt or self._store.check(["doubt"])
                self._listen()
                self._look_around()
                self._rounds += 1
                self._closing.wait(TICK)
        except Exception as error:
            self._lost = str(error) or type(error).__name__

    def _connect(self) -> Any:
        import torch.distributed

        dist: Any = torch.distributed
        store = dist.TCPStore(
            *self._place,
            is_master=self._hosts,
            wait_for_workers=False,
            multi_tenant=True,  # the server that init_process_group starts is the same
            timeout=timedelta(seconds=ARRIVAL),
        )
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return dist.PrefixStore(f"focus-watch/{attempt}", store)

    def _listen(self) -> None:
        """Count how long the beats stand: process 0 listens to all, the others to it."""
        watched = range(1, self.size) if self.me.rank == 0 else range(1)
        there = [r for r in watched if r in self._ages or self._store.check([f"beat/{r}"])]
        beats = self._store.multi_get([f"beat/{rank}" for rank in there]) if there else []
        heard = {rank: beat.decode() for rank, beat in zip(there, beats, strict=True)}
        for rank in watched:
            beat = heard.get(rank, "")
            last, age = self._ages.get(rank, ("", 0))
            age = age + 1 if beat == last else 0
            if beat or rank not in there:
                self._ages[rank] = beat, age
            if beat == _DONE:
                continue
            if beat and age * TICK > self._limit:
                self._accuse(rank, f"has given no sign of life for {self._limit:.0f} s")
            elif not beat and age * TICK > ARRIVAL:
                self._accuse(rank, f"has not begun in {ARRIVAL} s")

    @property
    def _limit(self) -> float:
        return min(self.silence, DOUBT) if self._doubt else self.silence

    def _look_around(self) -> None:
        """Look whether the other processes of this machine are there."""
        if sys.platform == "win32":  # where os.kill(pid, 0) is no question
            return
        if self._near is None:
            names = [f"who/{rank}" for rank in range(self.size)]
            if not self._store.check(names):
                return
            found = [Member(*json.loads(text)) for text in self._store.multi_get(names)]
            near = [other for other in found if other.machine == self.me.machine]
            self._near = {other.rank: other for other in near if other != self.me}
        for rank, other in list(self._near.items()):
            if is_there(other.pid):
                continue
            del self._near[rank]
            if self._store.get(f"beat/{rank}") != _DONE.encode():
                self._accuse(rank, "is gone: killed, or out of memory")

    def _accuse(self, rank: int, what: str) -> None:
        who = f"process {rank}"
        if self._store.check([f"who/{rank}"]):
            who = str(Member(*json.loads(self._store.get(f"who/{rank}"))))
        line = f"{who} {what}; {_KEPT}"
        self._agree(Verdict(rank, line, 2))

    def _agree(self, verdict: Verdict) -> Verdict:
        """Return the first verdict of all processes."""
        self.verdict = read_verdict(self._store.compare_set("verdict", "", json.dumps(verdict)))
        return self.verdict

    def _judge(self) -> None:
        """End this process once there is a verdict, or nothing comes from the store any more.

        Time is counted in rounds of its own: a process that was stopped blames nobody for it.
        """
        seen, mute, leaving = -1, 0.0, 0.0
        while not self._closing.wait(TICK / 2):
            mute = 0.0 if self._rounds != seen else mute + TICK / 2
            seen = self._rounds
            if self._ready.is_set() and mute > self._limit:
                self._lost = self._lost or "mute"
            if self._code is not None and leaving < DOUBT:
                leaving += TICK / 2  # the main thread says it, and ends
            elif self._code is not None:
                end_process(self._code)
            elif self.verdict is not None:
                self._leave(self.verdict)
            elif self._lost:
                why = "has ended" if self._ages.get(0, ("", 0))[0] == _DONE else "is gone"
                place = ":".join(map(str, self._place))
                line = f"process 0 or its launcher {why}: no answer from {place}; {_KEPT}"
                self._leave(Verdict(0, line, 2))

    def _leave(self, verdict: Verdict) -> None:
        """Say why, if no other process of this machine does, and end without waiting."""
        fallen = (self._near or {}).get(verdict.rank)
        for _ in range(50):  # launchers blame whichever process ended first
            if fallen is None or not is_there(fallen.pid) or "no sign" in verdict.line:
                break
            time.sleep(0.1)
        if self._closing.is_set() or self._code is not None:
            return
        if self._speaks():
            os.write(2, f"{self.program}: {verdict.line}\n".encode())
        with contextlib.suppress(RuntimeError):
            if not self._lost:
                self._store.set(f"beat/{self.me.rank}", _DONE)
        if self._lingers:
            time.sleep(LINGER)
        end_process(verdict.code)

    def _speaks(self) -> bool:
        """Say whether this process is the one of its machine that says why all end."""
        if not self._lost and self._ready.is_set():
            with contextlib.suppress(RuntimeError):
                return bool(self._store.add(f"voice/{name_node()}", 1) == 1)
        return self.me.rank == 1 or os.environ.get("LOCAL_RANK", "0") == "0"

    def _on_terminate(self, number: int, _: FrameType | None) -> None:
        """Follow an order to end once all have it; else give the judge the time to say why."""
        if os.getpid() != self.me.pid:  # a forked child
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self._told:
            return
        self._told = self._doubt = True
        with contextlib.suppress(RuntimeError):
            told = self._store.add("told", 1) if self._ready.is_set() else self.size
            for _wait in range(int((DOUBT + 3) / 0.1)):
                if told >= self.size:
                    break
                time.sleep(0.1)
                told = self._store.add("told", 0)
        raise KeyboardInterrupt


_watch: Watch | None = None


def begin(program: str = "focus") -> None:
    """Watch over the processes of this run, if the environment says that there are several.

    Args:
        program: stands before what is said, as in ``focus train``.
    """
    global _watch
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if _watch is not None or not all(name in os.environ for name in names):
        return
    rank, size, host, port = (os.environ[name] for name in names)
    if int(size) > 1:
        import torch.distributed  # noqa: F401  # in two threads at once, imports can meet half-way

        _watch = Watch(program, int(rank), int(size), (host, int(port)))
        _watch.start()


def active() -> Watch | None:
    """Return the watch over this run's processes, or None in a run of one."""
    return _watch


@contextlib.contextmanager
def over(program: str) -> Iterator[None]:
    """Do something under a watch: an error tells the others, unless it came from one of them."""
    begin(program)
    try:
        yield
    except Exception as error:
        if _watch is not None:
            _watch.settle(error)
        raise
