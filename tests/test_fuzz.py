"""A short run of tests/stress/fuzz.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_fuzzer_finds_nothing():
    command = [sys.executable, "tests/stress/fuzz.py", "--count", "250", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    kind, files, read, refused, *_ = done.stdout.splitlines()[-1].split()
    assert kind == "all"
    assert int(files) >= 250
    assert int(read) > 50
    assert int(refused) > 50
    assert int(read) + int(refused) == int(files)


ODD_READER = """
import os, sys
sys.path.insert(0, "tests/stress")
import fuzz
from focus.errors import InputError
from fuzzing.kinds import Kind
from fuzzing.readers import attempt
from pathlib import Path

class Odd(Kind):
    def draw(self, rng, whole):
        return str(next(self.numbers)).encode()

def read(path):
    number = int(path.read_bytes())
    if number == 0:
        raise KeyError("x")
    if number == 1:
        return bool(bytearray(b"x" * (80 << 20)))
    if number == 2:
        os.write(2, b"hello")
        return True
    if number == 3:
        return attempt(path, lambda: 1, lambda found: found == 2)
    def refuse():
        raise InputError("no file is named")
    if number == 4:
        return attempt(path, refuse, bool)
    if way == "die":
        os.abort()
    while True:
        pass

fuzz.CPU_SECONDS, fuzz.MEMORY = 1, 64 << 20
fuzz.KINDS["odd"] = Odd(lambda: [], read, "a")
for way in ("die", "hang"):
    Odd.numbers = iter(range(7))
    print(*fuzz.fuzz("odd", 6, 0, Path(sys.argv[1]) / way).findings, sep="\\n")
"""


def test_the_fuzzer_notices_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ODD_READER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    common = ("KeyError", "takes", "prints", "not what was promised", "does not name")
    expected = [*common, "SIGABRT", *common, "hangs"]
    said = done.stdout.splitlines()
    assert len(said) == len(expected), done.stderr[-2000:]
    assert all(word in line for word, line in zip(expected, said, strict=True)), said
    assert (tmp_path / "hang" / "odd-5" / "a").read_bytes() == b"5"
