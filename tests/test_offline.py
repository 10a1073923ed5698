"""Nothing opens a connection unless a download is asked for."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Every Python of the run, worker processes included, writes down whom it calls.
SPY = """
import os, sys

def listen(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[1] if event != "socket.getaddrinfo" else arguments[0]
        if isinstance(address, (str, bytes)) and event != "socket.getaddrinfo":
            return  # a socket of this machine
        with open(os.environ["SPY_LOG"], "a") as log:
            log.write(f"{event} {address}\\n")
        raise OSError("no network here")

sys.addaudithook(listen)
"""

# One process for all commands: importing torch takes seconds.
DAY = """
import sys
from evaluator.cli import main as evaluator
from focus.cli import main as focus

data = sys.argv[1]
small = ["--image-size", "64", "--steps", "1", "--batch", "4", "--quiet", "--workers", "1"]
run = ["--model", "probe", "--maps", "maps.h5", "--data", data, "--draws", "0", "--out", "trial"]
probe = ["encoder=resnet10t", "encoder_weights=none", "image_size=64", "channels=8"]
assert focus(["--help"]) == evaluator(["--help"]) == 0
assert focus(["index", "--data", data, "--out", "copy.csv", "--quiet"]) == 0
assert focus(["doctor", data, "--quiet"]) in (0, 1)
assert focus(["train", "demo", "--data", data, "--out", "run", *small]) == 0
assert focus(["generate", "--data", data, "--weights", "run", "--out", "maps.h5", "--quiet"]) == 0
assert focus(["info", "maps.h5"]) == focus(["view", "maps.h5", "--out", "page.html"]) == 0
assert evaluator(["score", "--maps", "maps.h5", "--split", "all", "--draws", "9", "--quiet"]) == 0
assert evaluator(["run", *run, "--options", *probe, *small[2:]]) == 0
"""

DOWNLOAD = """
import sys, time
time.sleep = lambda seconds: None  # the hub tries again and again, later and later
from focus.cli import main as focus

train = ["train", "demo", "--data", sys.argv[1], "--out", "run", "--quiet"]
sys.exit(focus([*train, "--encoder", "resnet10t", "--encoder-weights", "timm", "--stage", "-1"]))
"""


def run_watched(program, data, folder):
    """Run a program under the spy; return how it ended and whom it called."""
    (folder / "sitecustomize.py").write_text(SPY)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"PYTHONPATH": f"{folder}:{ROOT}", "SPY_LOG": str(folder / "calls")}
    environment |= {"HF_HOME": str(folder / "hub"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(data)],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=240,
    )  # fmt: skip
    calls = folder / "calls"
    return done, calls.read_text() if calls.exists() else ""


def test_a_day_of_work_calls_nobody(demo_corpus, tmp_path):
    done, calls = run_watched(DAY, demo_corpus, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert calls == ""


def test_a_download_that_cannot_happen_is_one_line(demo_corpus, tmp_path):
    done, calls = run_watched(DOWNLOAD, demo_corpus, tmp_path)
    assert "huggingface" in calls
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "offline" in done.stderr
