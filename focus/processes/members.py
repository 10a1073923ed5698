"""Who the processes of a run are, where they run, and whether they are there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """One process: its rank, where it runs, and how to find it there."""

    rank: int
    host: str
    pid: int
    machine: str  # equal for processes that see each other's process ids

    def __str__(self) -> str:
        return f"process {self.rank} ({self.host}, pid {self.pid})"


class Verdict(NamedTuple):
    """Why all processes end."""

    rank: int
    line: str
    code: int


def name_machine() -> str:
    """Name the machine, and the container in it, whose process ids this process sees."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {namespace}"


def name_node() -> str:
    """Name the launcher's node: two of them may share a machine, and each has its own output."""
    return os.environ.get("GROUP_RANK") or socket.gethostname()


def is_there(pid: int) -> bool:
    """Say whether a process lives; one that has ended and that nobody has asked about does not."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        return state.split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_verdict(text: bytes) -> Verdict:
    """Return a verdict that was kept as JSON."""
    return Verdict(*json.loads(text))


def end_process(code: int) -> None:
    """End this process and its loader workers now, whatever its main thread waits for."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    from multiprocessing import active_children

    for child in active_children():
        child.terminate()
    os._exit(code)
